#include "lowering/plan_file.h"

#include <algorithm>

#include "base/error.h"
#include "compiler/lower.h"
#include "graph/onnx_import.h"
#include "lowering/features.h"
#include "lowering/files.h"
#include "plan/identity.h"
#include "plan/plan_file.h"
#include "plan/serial_form.h"
#include "training/differentiate.h"
#include "training/layers.h"
#include "training/map_features.h"
#include "training/trained.h"
#include "wire/fields.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace sotto::lowering {

using nlohmann::json;

namespace {

constexpr std::size_t kMostSchedule = 1000;
constexpr std::size_t kMostLayers = 1000;
constexpr std::size_t kMostFeatures = 65536;

json to_json(const Spec& s) {
  json schedule = json::array();
  for (const training::RateChange& r : s.schedule) schedule.push_back({{"step", r.step}, {"factor", r.factor}});
  json adapters = json::array();
  for (const training::Adapter& a : s.adapters) adapters.push_back({{"layer", a.layer}, {"rank", a.rank}});
  return {{"layers", s.layers},
          {"adapters", adapters},
          {"new_head", s.new_head},
          {"loss", s.loss == Spec::Loss::softmax ? "softmax" : "squared-error"},
          {"optimiser", s.optimiser == Spec::Optimiser::sgd ? "sgd" : "normal-equations"},
          {"ridge", s.ridge},
          {"rate", s.rate},
          {"momentum", s.momentum},
          {"nesterov", s.nesterov},
          {"weight_decay", s.weight_decay},
          {"schedule", schedule},
          {"batch", s.batch},
          {"steps", s.steps},
          {"range", s.range},
          {"seed", s.seed}};
}

Spec spec_of(const json& j) {
  Spec s;
  s.layers = wire::texts(j, "layers", kMostLayers);
  for (const json& a : wire::list(j, "adapters", kMostLayers))
    s.adapters.push_back({wire::text(a, "layer"), wire::small_integer(a, "rank", 1, 1 << 10)});
  s.new_head = wire::small_integer(j, "new_head", 0, 1 << 16);
  const std::string loss = wire::text(j, "loss");
  if (loss != "softmax" && loss != "squared-error") wire::bad_field("loss");
  s.loss = loss == "softmax" ? Spec::Loss::softmax : Spec::Loss::squared_error;
  const std::string optimiser = wire::text(j, "optimiser");
  if (optimiser != "sgd" && optimiser != "normal-equations") wire::bad_field("optimiser");
  s.optimiser = optimiser == "sgd" ? Spec::Optimiser::sgd : Spec::Optimiser::normal_equations;
  s.ridge = wire::real(j, "ridge");
  s.rate = wire::real(j, "rate");
  s.momentum = wire::real(j, "momentum");
  s.nesterov = wire::boolean(j, "nesterov");
  s.weight_decay = wire::real(j, "weight_decay");
  for (const json& r : wire::list(j, "schedule", kMostSchedule))
    s.schedule.push_back({wire::small_integer(r, "step", 0, 1 << 30), wire::real(r, "factor")});
  s.batch = wire::small_integer(j, "batch", 1, 1 << 20);
  s.steps = wire::small_integer(j, "steps", 1, 1 << 20);
  s.range = wire::real(j, "range");
  s.seed = static_cast<std::uint64_t>(wire::integer(j, "seed", 0, INT64_MAX));
  verify(s);
  return s;
}

json to_json(const LevelChoice& l) {
  const bootstrap::BootstrapSpec& b = l.bootstrapping;
  return {{"slots_to_coeffs_factors", b.slots_to_coeffs_factors},
          {"coeffs_to_slots_factors", b.coeffs_to_slots_factors},
          {"degree", b.degree},
          {"doublings", b.doublings},
          {"raised_limbs", b.raised_limbs},
          {"input_peak", b.input_peak},
          {"state_scale", l.state_scale},
          {"image_scale", l.image_scale},
          {"least_scale", l.least_scale}};
}

LevelChoice levels_of(const json& j, int log_n) {
  LevelChoice l;
  l.bootstrapping = {wire::small_integer(j, "slots_to_coeffs_factors", 1, 8),
                     wire::small_integer(j, "coeffs_to_slots_factors", 1, 8),
                     wire::small_integer(j, "degree", 7, 127),
                     wire::small_integer(j, "doublings", 0, 8),
                     wire::small_integer(j, "raised_limbs", 1, 64),
                     wire::real(j, "input_peak")};
  bootstrap::verify(l.bootstrapping, log_n);
  for (const auto& [name, scale] :
       {std::pair{"state_scale", &l.state_scale}, {"image_scale", &l.image_scale}, {"least_scale", &l.least_scale}}) {
    *scale = wire::real(j, name);
    if (!(*scale >= 0x1p20 && *scale <= 0x1p60)) wire::bad_field(name);
  }
  return l;
}

// What the header has beyond a client description.
json training_of(const TrainingPlan& plan) {
  json training = {{"spec", to_json(plan.spec)}, {"levels", to_json(plan.levels)}, {"keys", plan::to_json(plan.keys)}};
  if (plan.body)
    training["body"] = {{"range", plan.body->range},
                        {"bytes", plan.body->bytes},
                        {"mean", plan.body->standard.mean},
                        {"deviation", plan.body->standard.deviation},
                        {"plan", plan::to_json(plan.body->client)}};
  return training;
}

json header_of(const TrainingPlan& plan) {
  json header = plan::to_json(client_part(plan));
  header["training"] = training_of(plan);
  return header;
}

// The body as the header of both files has it.
std::optional<Body> body_from_json(const json& training) {
  if (!training.contains("body")) return std::nullopt;
  const json& j = wire::field(training, "body");
  Body body{plan::client_of(wire::field(j, "plan")),
            std::nullopt,
            {wire::reals(j, "mean", kMostFeatures), wire::reals(j, "deviation", kMostFeatures)},
            false,
            wire::real(j, "range"),
            static_cast<std::uint64_t>(wire::integer(j, "bytes", 0, std::int64_t{1} << 50))};
  plan::verify(body.client);
  const auto features = static_cast<std::size_t>(body.client.io.outputs);
  if (body.standard.mean.size() != features) wire::bad_field("mean");
  if (body.standard.deviation.size() != features ||
      !std::ranges::all_of(body.standard.deviation, [](double d) { return d > 0; }))
    wire::bad_field("deviation");
  if (!(body.range >= 0x1p-100 && body.range <= 0x1p100)) wire::bad_field("range");
  return body;
}

// Whether the body's ciphertexts can become images of the steps, which its description alone does not say.
bool fits(const Body& body, const plan::ClientSpec& client, const LevelChoice& levels) {
  const plan::ClientSpec& b = body.client;
  const plan::Interface &here = b.io, &whole = client.io;
  return ckks::same_ring(b.parameters, client.parameters) && b.input.layout.group == 1 && b.tile.h == b.tile.w &&
         !b.training && b.parameters.ciphertext_primes <= client.parameters.ciphertext_primes &&
         b.parameters.special_primes <= client.parameters.special_primes &&
         b.parameters.most_at_once() <= client.parameters.most_at_once() && here.channels == whole.channels &&
         here.height == whole.height && here.width == whole.width && here.mean == whole.mean && here.std == whole.std &&
         mask_rescales(body, levels.bootstrapping) > 0;
}

// The network and, on the server, the plan of the body.
void read_sections(const wire::FileReader& file, wire::Kind kind, TrainingPlan& plan) {
  const bool with_body = plan.body && kind == wire::Kind::plan;
  if (file.sections() != (with_body ? 2 : 1)) file.fail("it has no network");
  plan.model.resize(file.section_bytes(0));
  file.read(0, plan.model);
  if (!with_body) return;
  Bytes bytes(file.section_bytes(1));
  file.read(1, bytes);
  plan.body->plan = plan::read_plan(Source(std::move(bytes), file.name()), plan.body->maps);
  if (plan::to_json(plan::client_part(*plan.body->plan)) != plan::to_json(plan.body->client))
    file.fail("its parts do not fit each other");
}

}  // namespace

plan::ClientSpec client_part(const TrainingPlan& plan) {
  const LoweredStep lowered = lower(plan);
  const program::Value& images = lowered.program.value(lowered.program.inputs[1]);
  plan::ClientSpec spec;
  spec.network = plan.network;
  spec.parameters = plan.parameters;
  spec.tile = plan.arrangement.tile;
  spec.batch = plan.arrangement.images_per_group();
  spec.input.name = "images";
  spec.input.layout = plan.arrangement.layouts[static_cast<std::size_t>(plan.step.images)];
  spec.input.level = images.limbs;
  spec.input.scale = images.scale;
  spec.output_level = state_limbs(lowered);
  spec.output_scale = lowered.state_scale;
  if (plan.body) {
    spec.input = plan.body->client.input;
    spec.batch = plan.body->client.batch;
  }
  spec.keys = all_keys_of(plan);
  spec.io = plan.io;
  spec.plan_digest =
      plan::digest_of({{"training", training_of(plan)}, {"program", program::digest_of(lowered.program)}}, plan.model);
  spec.signer = plan.signer;
  spec.plan_id = plan.id;
  spec.training = true;
  return spec;
}

std::string plan_id(const TrainingPlan& plan) { return plan::plan_id(client_part(plan)); }

void set_signer(TrainingPlan& plan, const signing::VerificationKey& signer) {
  plan.signer = signer;
  plan.id = plan_id(plan);
}

void write_training_plan(const Sink& sink, const TrainingPlan& plan, wire::Kind kind) {
  const wire::Access access = kind == wire::Kind::plan ? wire::Access::owner_only : wire::Access::everyone;
  std::vector<Bytes> sections{plan.model};
  if (plan.body && kind == wire::Kind::plan) plan::write_plan(Sink(sections.emplace_back()), *plan.body->plan);
  std::vector<std::uint64_t> sizes;
  sizes.reserve(sections.size());
  for (const Bytes& s : sections) sizes.push_back(s.size());
  wire::FileWriter file(sink, kind, header_of(plan), sizes, access);
  for (const Bytes& s : sections) file.write(s);
  file.commit();
}

TrainingPlan read_training_plan(const Source& source, wire::Kind kind) {
  const wire::FileReader file(source, kind);
  return file.decode([&](const json& h) {
    if (!h.contains("training")) file.fail("it is not for training; compile a network with a training spec");
    const plan::ClientSpec client = plan::client_of(h);
    plan::verify(client);
    const json& training = wire::field(h, "training");
    TrainingPlan plan;
    plan.spec = spec_of(wire::field(training, "spec"));
    plan.body = body_from_json(training);
    if (plan.body) plan.body->maps = training::has_joined_features(plan.spec);
    read_sections(file, kind, plan);
    plan.network = client.network;
    plan.parameters = client.parameters;
    plan.keys = plan::keys_from_json(wire::field(training, "keys"));
    plan.io = client.io;
    plan.signer = client.signer;
    plan.id = client.plan_id;
    plan.levels = levels_of(wire::field(training, "levels"), client.parameters.log_n);
    if (plan.body && !fits(*plan.body, client, plan.levels)) file.fail("its parts do not fit each other");
    const graph::Network network =
        training::network_to_train(graph::import_onnx(Source(plan.model, file.name())), plan.spec);
    const std::optional<int> features = training::features_of(network, plan.spec);
    if (plan.body.has_value() != features.has_value() ||
        (features && static_cast<std::size_t>(network.nodes[static_cast<std::size_t>(*features)].shape.c) !=
                         plan.body->standard.mean.size()))
      file.fail("its parts do not fit each other");
    plan.step = training::differentiate(trained_part(network, plan.spec, plan.body), plan.spec);
    plan.arrangement = arrangement_of(plan.step, plan.spec, client.parameters.log_n, plan.body);
    require_maps_in_place(plan);
    const bootstrap::BootstrapSpec& b = plan.levels.bootstrapping;
    const bool bootstraps = plan.spec.optimiser == Spec::Optimiser::sgd;
    if ((bootstraps ? b.raised_limbs : b.input_limbs()) > client.parameters.ciphertext_primes)
      file.fail("it has too few primes for its levels");
    if (!bootstraps && plan.body && plan.levels.image_scale != feature_scale(b, *plan.body))
      file.fail("its parts do not fit each other");
    // All that is stated must be what is made of network, spec and levels, also what no reader of a training uses.
    const plan::ClientSpec made = client_part(plan);
    if (required_keys(plan, lower(plan)) != plan.keys.keys || plan::to_json(made) != plan::to_json(client) ||
        plan.id != plan::plan_id(made))
      file.fail("its contents do not fit its identity");
    return plan;
  });
}

wire::Kind kind_of_training(const Source& source) {
  try {
    (void)wire::FileReader(source, wire::Kind::client);
    return wire::Kind::client;
  } catch (const Error&) {
    return wire::Kind::plan;  // or damaged: the reader says what is wrong
  }
}

bool is_training_plan(const Source& source, wire::Kind kind) {
  return wire::FileReader(source, kind).header().contains("training");
}

}  // namespace sotto::lowering
