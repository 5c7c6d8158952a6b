#include "plan/plan_file.h"

#include "plan/identity.h"
#include "plan/serial_form.h"
#include "plan/verify.h"
#include "wire/fields.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace sotto::plan {

using nlohmann::json;

void write_plan(const Sink& sink, const Plan& plan) {
  verify(plan);
  json header = header_of(plan);
  header["plan_id"] = plan.id;
  std::size_t bytes = 0;
  for_each_list(plan, [&](const std::vector<double>& v) { bytes += v.size() * sizeof(double); });
  wire::FileWriter file(sink, wire::Kind::plan, header, {bytes}, wire::Access::owner_only);
  for_each_list(plan, [&](const std::vector<double>& v) {
    file.write({reinterpret_cast<const unsigned char*>(v.data()), v.size() * sizeof(double)});
  });
  file.commit();
}

Plan read_plan(const sotto::Source& source, bool map) {
  const wire::FileReader file(source, wire::Kind::plan);
  return file.decode([&](const json& h) {
    if (h.contains("training")) file.fail("it is for training, not for inference: sotto-server train runs it");
    if (file.sections() != 1 || file.section_bytes(0) % sizeof(double) != 0) file.fail("it has no weights");
    std::vector<double> values(file.section_bytes(0) / sizeof(double));
    file.read(0, {reinterpret_cast<unsigned char*>(values.data()), file.section_bytes(0)});
    Plan plan = plan_of(h, std::move(values));
    plan.id = wire::text(h, "plan_id");
    verify(plan);
    if (!map) require_scores(plan);
    if (plan.id != plan_id(plan)) file.fail("its contents do not fit its identity");
    return plan;
  });
}

void write_client(const Sink& sink, const ClientSpec& spec) {
  wire::FileWriter(sink, wire::Kind::client, to_json(spec), {}).commit();
}

ClientSpec read_client(const sotto::Source& source) {
  const wire::FileReader file(source, wire::Kind::client);
  return file.decode([&](const json& h) {
    ClientSpec spec = client_of(h);
    verify(spec);
    if (spec.plan_id != plan_id(spec)) file.fail("its contents do not fit its identity");
    return spec;
  });
}

}  // namespace sotto::plan
