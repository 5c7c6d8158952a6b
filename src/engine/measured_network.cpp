#include "engine/measured_network.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "compiler/relu_error.h"
#include "graph/calibrate.h"

namespace sotto::engine {

namespace {

constexpr std::size_t kMostFaint = 8;  // of a kind
constexpr double kFaintMargin = 1.5;   // over what their scores err by: there are more kinds
constexpr double kLeastFunctionError = 1e-4;
constexpr double kTiesToTell = 0.25;  // part of the images: black ones alone may have no label

// Polynomials may take half of the labels that may change, encryption the rest.
double halfway(double agreement) { return agreement + (1 - agreement) / 2; }

// Made-up images may be livelier than those to come, of which activations then see the middle of their range only,
// where polynomials err most.
double error_on_faint_images(const MeasuredNetwork& m, const compiler::PlanningHooks& hooks) {
  if (!m.calibration.made_up || !graph::has_functions(m.network)) return 0;
  const circuit::Circuit circuit = compiler::lower(m.network, m.function_error);
  if (!circuit.has(circuit::Op::Kind::activate)) return 0;
  const std::size_t images = std::min(kMostFaint, compiler::affordable(graph::multiply_adds(m.network)));
  double largest = 0;
  for (const compiler::Calibration& kind : compiler::faint_calibrations(compiler::interface_of(m.network), images)) {
    const auto progress = hooks.images("faint images", images);
    const compiler::Reference exact = compiler::reference_of(m.network, kind);
    largest = std::max(largest, compiler::predict_polynomials(circuit, kind, exact, progress).score_error);
  }
  return kFaintMargin * largest;
}

// What predictions and marks do not cover.
void note_limits(const MeasuredNetwork& m, const compiler::PlanningHooks& hooks) {
  if (!hooks.note) return;
  if (compiler::interface_of(m.network).outputs == 1)
    hooks.note(m.network.name +
               ": it has one score, so all images get the same label; compare the scores with a threshold of your own: "
               "none is marked for lying close to it");
  if (m.calibration.made_up && graph::has_functions(m.network))
    hooks.note(m.network.name +
               ": the polynomials for its activations are measured on made-up images; scores of pictures that are much "
               "darker or of less contrast err more, and more of them are marked: measure on such pictures");
}

void note_ties(const MeasuredNetwork& m, const compiler::PlanningHooks& hooks) {
  const double ties = m.reference.ties();
  if (hooks.note && m.calibration.made_up && ties > kTiesToTell)
    hooks.note(
        fmt::format("{}: it gives {:.2g} % of the made-up images equal best scores; rounding decides the labels of "
                    "such images, which are marked",
                    m.network.name, 100 * ties));
}

// The largest error of polynomials with which labels are predicted to agree.
double choose_function_error(const MeasuredNetwork& m, double agreement, const compiler::PlanningHooks& hooks) {
  const double first = compiler::relu_error_for(m.network);
  if (!graph::has_functions(m.network)) return first;
  const auto predicted = [&](double error) {
    const auto progress = hooks.images("polynomials", m.calibration.images.size());
    const circuit::Circuit circuit = compiler::lower(m.network, error);
    if (!circuit.has(circuit::Op::Kind::activate)) return 1.0;
    return compiler::predict_polynomials(circuit, m.calibration, m.reference, progress).label_agreement;
  };
  return compiler::relu_error_reaching(agreement, first, kLeastFunctionError, predicted);
}

}  // namespace

MeasuredNetwork measure(graph::Network network, compiler::Calibration calibration, double agreement,
                        std::optional<double> function_error, const compiler::PlanningHooks& hooks) {
  if (!calibration.made_up && std::ranges::all_of(calibration.images, [&](const std::vector<double>& image) {
        return image == calibration.images.front();
      }))
    throw Error(ErrorCode::bad_input,
                calibration.images.size() == 1
                    ? "one image is not enough to calibrate on; give several that differ"
                    : "the images to calibrate on are all the same; give several that differ",
                Setting::calibration);
  MeasuredNetwork m{std::move(network), std::move(calibration), {}, {}, 0};
  note_limits(m, hooks);
  m.calibration = compiler::thinned(std::move(m.calibration), graph::multiply_adds(m.network));
  const std::size_t images = m.calibration.images.size();
  if (graph::needs_ranges(m.network)) {
    const auto magnitudes = graph::magnitudes(m.network, m.calibration.images, hooks.images("ranges", images));
    // What the network states beats what made-up images show.
    graph::set_ranges(m.network, magnitudes, m.calibration.made_up);
  }
  m.reference = compiler::reference_of(m.network, m.calibration, hooks.images("float model", images));
  note_ties(m, hooks);
  m.function_error = function_error ? *function_error : choose_function_error(m, halfway(agreement), hooks);
  m.faint_error = error_on_faint_images(m, hooks);
  m.circuit = compiler::measured_circuit(m.network, m.calibration, m.function_error, hooks.images("values", images));
  return m;
}

}  // namespace sotto::engine
