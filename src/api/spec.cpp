#include "sotto/spec.h"

#include <utility>

#include "api/security.h"
#include "api/signing.h"
#include "base/error.h"
#include "plan/plan_file.h"

namespace sotto {

ClientSpec::ClientSpec(plan::ClientSpec spec) : spec_(std::make_shared<const plan::ClientSpec>(std::move(spec))) {}

ClientSpec ClientSpec::read(const Source& source) { return ClientSpec(plan::read_client(source)); }
void ClientSpec::write(const Sink& sink) const {
  if (spec_->training)
    throw Error(ErrorCode::usage,
                "the description of a training has its network in it: let the training plan write it");
  plan::write_client(sink, *spec_);
}

std::string ClientSpec::network() const { return spec_->network; }
std::string ClientSpec::plan_id() const { return spec_->plan_id; }
int ClientSpec::batch() const { return spec_->batch; }
int ClientSpec::channels() const { return spec_->io.channels; }
int ClientSpec::height() const { return spec_->io.height; }
int ClientSpec::width() const { return spec_->io.width; }
int ClientSpec::scores() const { return spec_->io.outputs; }
Security ClientSpec::security() const { return api::security_of(spec_->parameters.security); }
std::string ClientSpec::signer() const { return api::text_of(spec_->signer); }
std::vector<std::string> ClientSpec::classes() const { return spec_->io.classes; }
std::vector<double> ClientSpec::mean() const { return spec_->io.mean; }
std::vector<double> ClientSpec::standard_deviation() const { return spec_->io.std; }

}  // namespace sotto
