#include "plan/serial_form.h"

#include "base/text.h"
#include "ckks/ring_field.h"
#include "wire/fields.h"

namespace sotto::plan {

using nlohmann::json;
using wire::field;
using wire::small_integer;

namespace {

json to_json(const ckks::ParametersSpec& p) {
  json j = {{"log_n", p.log_n},
            {"ring", ring::name_of(p.kind)},
            {"ciphertext_primes", p.ciphertext_primes},
            {"special_primes", p.special_primes},
            {"primes_at_once", p.most_at_once()},
            {"prime_bits", p.prime_bits},
            {"small_primes", p.small_primes}};
  ckks::add_security_level(j, p.security);
  return j;
}

ckks::ParametersSpec parameters_from_json(const json& j) {
  return {small_integer(j, "log_n", 6, 17),
          ckks::ring_kind(j),
          small_integer(j, "ciphertext_primes", 1, 64),
          small_integer(j, "special_primes", 1, ckks::kMostSpecialPrimes),
          small_integer(j, "prime_bits", 30, 48),
          small_integer(j, "primes_at_once", 2, 128),
          ckks::security_level(j),
          small_integer(j, "small_primes", 0, ckks::kMostSmallPrimes)};
}

json to_json(const Axes& a) { return {{"h", a.h}, {"w", a.w}}; }

Axes axes_from_json(const json& j, const char* name, int least, int most) {
  return {small_integer(field(j, name), "h", least, most), small_integer(field(j, name), "w", least, most)};
}

json to_json(const Layout& l) {
  return {{"channels", l.channels}, {"height", l.height}, {"width", l.width},       {"phases", to_json(l.phases)},
          {"gap", to_json(l.gap)},  {"group", l.group},   {"fill", to_json(l.fill)}};
}

Layout layout_from_json(const json& j) {
  return {small_integer(j, "channels", 1, 65536),
          small_integer(j, "height", 1, 4096),
          small_integer(j, "width", 1, 4096),
          axes_from_json(j, "phases", 1, kMostPhases),
          axes_from_json(j, "gap", 1, 4096),
          small_integer(j, "group", 1, kMaxGroup),
          axes_from_json(j, "fill", 1, packing::kMostTileSide)};
}

json to_json(const ckks::Level& l) { return {{"limbs", l.limbs}, {"absent", l.absent}}; }

ckks::Level level_from_json(const json& j, const char* name) {
  const json& l = field(j, name);
  return {small_integer(l, "limbs", 1, 64), small_integer(l, "absent", 0, ckks::kMostSmallPrimes)};
}

json to_json(const Tensor& t) {
  return {{"name", t.name}, {"layout", to_json(t.layout)}, {"level", to_json(t.level)}, {"scale", t.scale}};
}

Tensor tensor_from_json(const json& j) {
  return {readable_text(wire::text(j, "name")), layout_from_json(field(j, "layout")), level_from_json(j, "level"),
          wire::real(j, "scale")};
}

}  // namespace

json to_json(const ckks::KeyRequest& keys) {
  json tiers = json::array(), ids = json::array();
  for (const auto& t : keys.tiers)
    tiers.push_back({{"max_limbs", t.max_limbs}, {"special", t.special}, {"ephemeral", t.ephemeral}});
  for (const auto& k : keys.keys) ids.push_back({{"tier", k.tier}, {"galois_element", k.galois_element}});
  return {{"tiers", tiers}, {"keys", ids}};
}

ckks::KeyRequest keys_from_json(const json& j) {
  ckks::KeyRequest keys;
  for (const json& t : wire::list(j, "tiers", 64))
    keys.tiers.push_back(
        {small_integer(t, "max_limbs", 1, 64), small_integer(t, "special", 1, 64), wire::boolean(t, "ephemeral")});
  for (const json& k : wire::list(j, "keys", 4096))
    keys.keys.push_back(
        {small_integer(k, "tier", 0, 63), static_cast<std::uint64_t>(wire::integer(k, "galois_element", 0, 1 << 20))});
  return keys;
}

namespace {

json to_json(const std::optional<signing::VerificationKey>& signer) {
  return signer ? json(signing::to_text(*signer)) : json();
}

std::optional<signing::VerificationKey> signer_from_json(const json& j) {
  if (field(j, "result_signer").is_null()) return std::nullopt;
  const auto key = signing::verification_key_of(wire::text(j, "result_signer"));
  if (!key) wire::bad_field("result_signer");
  return key;
}

json to_json(const Interface& io) {
  return {{"channels", io.channels}, {"height", io.height},   {"width", io.width},    {"mean", io.mean},
          {"std", io.std},           {"classes", io.classes}, {"outputs", io.outputs}};
}

Interface interface_from_json(const json& j) {
  Interface io{small_integer(j, "channels", 1, 65536), small_integer(j, "height", 1, 4096),
               small_integer(j, "width", 1, 4096),     wire::reals(j, "mean", 65536),
               wire::reals(j, "std", 65536),           wire::texts(j, "classes", 65536),
               small_integer(j, "outputs", 1, 65536)};
  for (std::string& name : io.classes) name = readable_text(name);  // they will be printed
  return io;
}

// Weights and biases leave the header: they lie in the one section, in the order of the steps.
struct WeightReader {
  std::vector<double> values;
  std::size_t at = 0;

  std::vector<double> take(const json& j, const char* name) {
    const auto count = static_cast<std::size_t>(wire::integer(j, name, 0, std::int64_t{1} << 40));
    if (count > values.size() - at) wire::bad_field(name);
    at += count;
    return {values.begin() + static_cast<std::ptrdiff_t>(at - count), values.begin() + static_cast<std::ptrdiff_t>(at)};
  }
};

json to_json(const Prediction& p) {
  return {{"label_agreement", p.label_agreement},
          {"score_error", p.score_error},
          {"spread", p.spread},
          {"images", p.images},
          {"made_up", p.made_up},
          {"promised", p.promised},
          {"faint_error", p.faint_error}};
}

Prediction prediction_from_json(const json& j) {
  return {wire::real(j, "label_agreement"), wire::real(j, "score_error"),
          wire::real(j, "spread"),          small_integer(j, "images", 0, 1 << 20),
          wire::boolean(j, "made_up"),      wire::real(j, "promised"),
          wire::real(j, "faint_error")};
}

// Moments lie with the weights.
json to_json(const Moments& m) {
  return {{"channels", m.channels.size()}, {"reach", m.reach}, {"neighbours", m.neighbours.size()}};
}

Moments moments_from_json(const json& j, WeightReader& values) {
  Moments m;
  m.channels = values.take(j, "channels");
  m.reach = small_integer(j, "reach", 0, 63);
  m.neighbours = values.take(j, "neighbours");
  return m;
}

const char* const kKind[] = {"sum", "square", "multiply", "activate", "bootstrap"};
const char* const kTermKind[] = {"convolution", "full", "copy"};

template <std::size_t N>
int index_of(const json& j, const char* name, const char* const (&names)[N]) {
  const std::string value = wire::text(j, name);
  for (std::size_t i = 0; i < N; ++i)
    if (value == names[i]) return static_cast<int>(i);
  wire::bad_field(name);
}

json to_json(const bootstrap::BootstrapSpec& r) {
  return {{"slots_to_coeffs_factors", r.slots_to_coeffs_factors},
          {"coeffs_to_slots_factors", r.coeffs_to_slots_factors},
          {"degree", r.degree},
          {"doublings", r.doublings},
          {"raised_limbs", r.raised_limbs},
          {"input_peak", r.input_peak}};
}

bootstrap::BootstrapSpec bootstrap_from_json(const json& j) {
  return {small_integer(j, "slots_to_coeffs_factors", 1, 8),
          small_integer(j, "coeffs_to_slots_factors", 1, 8),
          small_integer(j, "degree", 7, 127),
          small_integer(j, "doublings", 0, 8),
          small_integer(j, "raised_limbs", 1, 64),
          wire::real(j, "input_peak")};
}

json to_json(const Activation& a) { return {{"range", a.range}, {"gate", a.gate}, {"factors", a.factors}}; }

Activation activation_from_json(const json& j) {
  Activation a{wire::real(j, "range"), wire::boolean(j, "gate"), {}};
  for (const json& factor : wire::list(j, "factors", 8)) a.factors.push_back(wire::reals_of(factor, "factors", 256));
  return a;
}

json to_json(const Probe& p) {
  return {{"tensor", p.tensor}, {"alternating", p.alternating}, {"limbs", p.limbs}, {"bound", p.bound}};
}

std::vector<Probe> probes_from_json(const json& j) {
  std::vector<Probe> probes;
  for (const json& p : wire::list(j, "probes", 4096))
    probes.push_back({small_integer(p, "tensor", 0, 1 << 20), wire::boolean(p, "alternating"),
                      small_integer(p, "limbs", 1, 2), wire::real(p, "bound")});
  return probes;
}

json to_json(const Watch& w) {
  json probes = json::array();
  for (const ProbeView& p : w.probes)
    probes.push_back({{"limbs", p.limbs},
                      {"scale", p.scale},
                      {"bound", p.bound},
                      {"places", p.watched.places},
                      {"rows", p.watched.rows},
                      {"columns", p.watched.columns},
                      {"row_gap", p.watched.row_gap},
                      {"column_gap", p.watched.column_gap}});
  return {{"probes", probes},
          {"score_bound", w.score_bound},
          {"reach", w.reach},
          {"score_error", w.score_error},
          {"score_spread", w.score_spread},
          {"agreement", w.agreement},
          {"faint_error", w.faint_error}};
}

Watch watch_from_json(const json& j) {
  Watch w{{},
          wire::real(j, "score_bound"),
          small_integer(j, "reach", 1, 1 << 20),
          wire::real(j, "score_error"),
          wire::real(j, "score_spread"),
          wire::real(j, "agreement"),
          wire::real(j, "faint_error")};
  for (const json& p : wire::list(j, "probes", 4096))
    w.probes.push_back({small_integer(p, "limbs", 1, 2),
                        wire::real(p, "scale"),
                        wire::real(p, "bound"),
                        {small_integer(p, "places", 1, kMaxGroup), small_integer(p, "rows", 1, 256),
                         small_integer(p, "columns", 1, 256), small_integer(p, "row_gap", 1, 4096),
                         small_integer(p, "column_gap", 1, 4096)}});
  return w;
}

json to_json(const Step& s) {
  json terms = json::array();
  for (const Term& t : s.terms) {
    json blocks = json::array();
    for (const Block& b : t.blocks) blocks.push_back({b.out, b.outs, b.in, b.ins});
    terms.push_back({{"kind", kTermKind[static_cast<int>(t.kind)]},
                     {"source", t.source},
                     {"kernel", {{"h", t.kernel_h}, {"w", t.kernel_w}}},
                     {"stride", {{"h", t.stride_h}, {"w", t.stride_w}}},
                     {"pad", {{"h", t.pad_top}, {"w", t.pad_left}}},
                     {"dilation", {{"h", t.dilation_h}, {"w", t.dilation_w}}},
                     {"blocks", t.blocks.empty() ? json() : blocks},
                     {"map", t.map.size()},
                     {"even", t.even},
                     {"weights", t.weights.size()}});
  }
  json step = {{"name", s.name},
               {"output", s.output},
               {"terms", terms},
               {"kind", kKind[static_cast<int>(s.kind)]},
               {"keep", s.keep},
               {"spread", s.spread},
               {"level", to_json(s.level)},
               {"scale", s.scale},
               {"baby", s.baby},
               {"bias", s.bias.size()},
               {"early", s.early},
               {"late", s.late}};
  if (s.kind == Kind::activate) step["activation"] = to_json(s.activation);
  return step;
}

Block block_from_json(const json& j) {
  if (!j.is_array() || j.size() != 4) wire::bad_field("blocks");
  int v[4];
  for (std::size_t k = 0; k < 4; ++k) {
    if (!j[k].is_number_integer() || j[k] < 0 || j[k] > 65536) wire::bad_field("blocks");
    v[k] = j[k];
  }
  return {v[0], v[1], v[2], v[3]};
}

Term term_from_json(const json& j, WeightReader& weights) {
  Term t;
  t.kind = static_cast<Term::Kind>(index_of(j, "kind", kTermKind));
  t.source = small_integer(j, "source", 0, 1 << 20);
  const Axes kernel = axes_from_json(j, "kernel", 1, 4096), stride = axes_from_json(j, "stride", 1, 4096),
             pad = axes_from_json(j, "pad", -4096, 4096), dilation = axes_from_json(j, "dilation", 1, 4096);
  t.kernel_h = kernel.h;
  t.kernel_w = kernel.w;
  t.stride_h = stride.h;
  t.stride_w = stride.w;
  t.pad_top = pad.h;
  t.pad_left = pad.w;
  t.dilation_h = dilation.h;
  t.dilation_w = dilation.w;
  if (!field(j, "blocks").is_null()) {
    for (const json& b : wire::list(j, "blocks", 1 << 22)) t.blocks.push_back(block_from_json(b));
    if (t.blocks.empty()) wire::bad_field("blocks");
  }
  t.even = wire::boolean(j, "even");
  t.map = weights.take(j, "map");
  t.weights = weights.take(j, "weights");
  return t;
}

Step step_from_json(const json& j, WeightReader& weights) {
  Step s;
  s.name = readable_text(wire::text(j, "name"));
  s.output = small_integer(j, "output", 0, 1 << 20);
  s.kind = static_cast<Kind>(index_of(j, "kind", kKind));
  s.keep = wire::boolean(j, "keep");
  s.spread = wire::boolean(j, "spread");
  s.level = level_from_json(j, "level");
  s.scale = wire::real(j, "scale");
  s.baby = small_integer(j, "baby", 1, kMaxGroup);
  constexpr int kMostUnits = kMostDivided * (ckks::kMostSmallPrimes + 1);
  s.early = small_integer(j, "early", 0, kMostUnits);
  s.late = small_integer(j, "late", 0, kMostUnits);
  s.bias = weights.take(j, "bias");
  if (s.kind == Kind::activate) s.activation = activation_from_json(field(j, "activation"));
  for (const json& t : wire::list(j, "terms", 256)) s.terms.push_back(term_from_json(t, weights));
  return s;
}

}  // namespace

json header_of(const Plan& plan) {
  json tensors = json::array(), steps = json::array(), probes = json::array();
  for (const Tensor& t : plan.tensors) {
    tensors.push_back(to_json(t));
    tensors.back()["moments"] = to_json(t.moments);
  }
  for (const Step& s : plan.steps) steps.push_back(to_json(s));
  for (const Probe& p : plan.probes) probes.push_back(to_json(p));
  return {{"network", plan.network},
          {"parameters", to_json(plan.parameters)},
          {"bootstrapping", plan.bootstrapping ? to_json(*plan.bootstrapping) : json()},
          {"tile", to_json(plan.tile)},
          {"batch", plan.batch},
          {"tensors", tensors},
          {"steps", steps},
          {"key_request", to_json(plan.keys)},
          {"interface", to_json(plan.io)},
          {"prediction", to_json(plan.prediction)},
          {"probes", probes},
          {"score_bound", plan.score_bound},
          {"result_signer", to_json(plan.signer)}};
}

void for_each_list(const Plan& plan, const std::function<void(const std::vector<double>&)>& list) {
  for (const Step& s : plan.steps) {
    list(s.bias);
    for (const Term& t : s.terms) {
      list(t.map);
      list(t.weights);
    }
  }
  for (const Tensor& t : plan.tensors) {
    list(t.moments.channels);
    list(t.moments.neighbours);
  }
}

Plan plan_of(const json& h, std::vector<double> values) {
  WeightReader weights{std::move(values)};
  Plan plan;
  plan.network = readable_text(wire::text(h, "network"));
  plan.parameters = parameters_from_json(field(h, "parameters"));
  if (!field(h, "bootstrapping").is_null()) plan.bootstrapping = bootstrap_from_json(field(h, "bootstrapping"));
  plan.tile = axes_from_json(h, "tile", 1, packing::kMostTileSide);
  plan.batch = small_integer(h, "batch", 1, 1 << 17);
  const auto& tensors = wire::list(h, "tensors", 100000);
  for (const json& t : tensors) plan.tensors.push_back(tensor_from_json(t));
  for (const json& s : wire::list(h, "steps", 100000)) plan.steps.push_back(step_from_json(s, weights));
  for (std::size_t t = 0; t < tensors.size(); ++t)
    plan.tensors[t].moments = moments_from_json(field(tensors[t], "moments"), weights);
  if (weights.at != weights.values.size()) wire::bad_field("weights");
  plan.keys = keys_from_json(field(h, "key_request"));
  plan.io = interface_from_json(field(h, "interface"));
  plan.prediction = prediction_from_json(field(h, "prediction"));
  plan.probes = probes_from_json(h);
  plan.score_bound = wire::real(h, "score_bound");
  plan.signer = signer_from_json(h);
  return plan;
}

json to_json(const ClientSpec& spec) {
  return {{"network", spec.network},
          {"parameters", to_json(spec.parameters)},
          {"tile", to_json(spec.tile)},
          {"batch", spec.batch},
          {"input", to_json(spec.input)},
          {"output", {{"level", to_json(spec.output_level)}, {"scale", spec.output_scale}}},
          {"key_request", to_json(spec.keys)},
          {"interface", to_json(spec.io)},
          {"watch", to_json(spec.watch)},
          {"result_signer", to_json(spec.signer)},
          {"plan_digest", spec.plan_digest},
          {"plan_id", spec.plan_id}};
}

ClientSpec client_of(const json& h) {
  ClientSpec spec;
  spec.network = readable_text(wire::text(h, "network"));
  spec.parameters = parameters_from_json(field(h, "parameters"));
  spec.tile = axes_from_json(h, "tile", 1, packing::kMostTileSide);
  spec.batch = small_integer(h, "batch", 1, 1 << 17);
  spec.input = tensor_from_json(field(h, "input"));
  spec.output_level = level_from_json(field(h, "output"), "level");
  spec.output_scale = wire::real(field(h, "output"), "scale");
  spec.keys = keys_from_json(field(h, "key_request"));
  spec.io = interface_from_json(field(h, "interface"));
  spec.watch = watch_from_json(field(h, "watch"));
  spec.signer = signer_from_json(h);
  spec.plan_digest = wire::text(h, "plan_digest", 64);
  spec.plan_id = wire::text(h, "plan_id", 64);
  spec.training = h.contains("training");
  return spec;
}

}  // namespace sotto::plan
