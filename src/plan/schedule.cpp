#include "plan/schedule.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/index.h"
#include "circuit/term.h"
#include "ckks/chebyshev.h"
#include "simd/tables.h"

namespace sotto::plan {

std::vector<double> mask_values(const Tap& tap, const Term& term, const Layout& out, const Axes& tile, int phase) {
  std::vector<double> values(tap.mask.begin(), tap.mask.end());
  for (std::size_t k = 0; k < term.map.size(); ++k) {
    const auto width = static_cast<std::size_t>(out.width);
    const Place place = place_of(out, tile, static_cast<int>(k / width), static_cast<int>(k % width));
    if (place.phase == phase) values[static_cast<std::size_t>(place.position)] *= term.map[k];
  }
  return values;
}

std::vector<std::int64_t> sum_rotations(int count) {
  std::vector<std::int64_t> r;
  for (int s = 1; s < count; s *= 2) r.push_back(s);
  return r;
}

int tier_of(const Plan& plan, const ckks::Level& level) {
  const int tier = ckks::tier_for(plan.keys.tiers, level.limbs);
  if (tier < 0) throw Error(ErrorCode::bad_input, "the plan has no key tier for one of its levels");
  return tier;
}

std::size_t step_period(const Plan& plan, const Step& step) {
  int places = plan.group();
  if (plan.batch == 1) {
    places = plan.tensors[static_cast<std::size_t>(step.output)].layout.places();
    for (const Term& t : step.terms)
      places = std::max(places, plan.tensors[static_cast<std::size_t>(t.source)].layout.places());
  }
  return std::max<std::size_t>(64, static_cast<std::size_t>(places) * static_cast<std::size_t>(plan.tile.area()));
}

bool fills_gaps(const Plan& plan, const Step& step) {
  const auto filled = [&](int tensor) { return plan.tensors[static_cast<std::size_t>(tensor)].layout.fill != Axes(1); };
  return !step.slotwise() &&
         (filled(step.output) || std::ranges::any_of(step.terms, [&](const Term& t) { return filled(t.source); }));
}

std::int64_t giant_rotation(const Plan& plan, const Step& step) { return std::int64_t{step.baby} * plan.tile.area(); }

Source made_from(const Plan& plan, const Tap& tap) {
  Source from{tap.source.tensor, tap.source.phase, std::int64_t{tap.shift} * plan.tile.area()};
  if (from == tap.source) from.rotation = 0;
  return from;
}

int rotations_of(const Plan& plan, const Tap& tap) {
  if (tap.source.rotation == 0) return 0;
  return made_from(plan, tap).rotation == 0 ? 1 : 2;
}

namespace {

// Which pairs of blocks a term connects with which moves of channels.
class Connections {
 public:
  Connections(const Plan& plan, const Step& step, const Term& term) {
    const Layout& in = plan.tensors[static_cast<std::size_t>(term.source)].layout;
    const Layout& out = plan.tensors[static_cast<std::size_t>(step.output)].layout;
    const std::size_t count = weights_per_pair(term, in);
    const int group = in.group, places = out.places();
    group_ = group;
    across_ = in.blocks();
    pairs_ = out.blocks() * across_;
    found_.resize(static_cast<std::size_t>(2 * group) * static_cast<std::size_t>(pairs_));
    std::vector<std::size_t> first;  // entry of a move, by place and channel of a block
    for (int s = 0; s < group; ++s)
      for (int c = 0; c < group; ++c)
        first.push_back(static_cast<std::size_t>((packing::channel_move(in, s, c, plan.batch == 1) + group) * pairs_));
    for_each_pair(term, in, out, [&](int o, int i, const double* w) {
      if (std::all_of(w, w + count, [](double v) { return v == 0; })) return;
      const auto pair = static_cast<std::size_t>(o / group * across_ + i / group);
      for (int s = o % group; s < group; s += places)
        found_[first[static_cast<std::size_t>(s * group + i % group)] + pair] = 1;
    });
  }

  // f(move, block of outputs, block of inputs), in this order.
  template <class F>
  void for_each(F f) const {
    for (std::size_t k = 0; k < found_.size(); ++k) {
      const int entry = static_cast<int>(k), pair = entry % pairs_;
      if (found_[k] != 0) f(entry / pairs_ - group_, pair / across_, pair % across_);
    }
  }

  // Pairs of blocks, by move.
  [[nodiscard]] std::map<int, std::size_t> counts() const {
    std::map<int, std::size_t> counts;
    for_each([&](int move, int, int) { ++counts[move]; });
    return counts;
  }

 private:
  int group_ = 1, across_ = 1, pairs_ = 1;
  std::vector<char> found_;
};

}  // namespace

std::map<int, std::set<std::pair<int, int>>> connected_blocks(const Plan& plan, const Step& step, const Term& term) {
  std::map<int, std::set<std::pair<int, int>>> moves;
  Connections(plan, step, term).for_each([&](int move, int to, int from) { moves[move].insert({to, from}); });
  return moves;
}

std::map<int, std::set<std::pair<int, int>>> connected_in_gaps(const Plan& plan, const Step& step, const Term& term) {
  const Layout& in = plan.tensors[static_cast<std::size_t>(term.source)].layout;
  const Layout& out = plan.tensors[static_cast<std::size_t>(step.output)].layout;
  const std::size_t count = weights_per_pair(term, in);
  std::map<int, std::set<std::pair<int, int>>> moves;
  for_each_pair(term, in, out, [&](int o, int i, const double* w) {
    if (std::all_of(w, w + count, [](double v) { return v == 0; })) return;
    // A full term sums all positions, and with them the channels that lie there.
    const int move = term.kind == Term::Kind::full ? 0
                                                   : packing::offset_of(in, plan.tile, i % in.together()) -
                                                         packing::offset_of(out, plan.tile, o % out.together());
    moves[move].insert({o / out.together(), i / in.together()});
  });
  return moves;
}

std::set<int> channel_moves(const Plan& plan, const Step& step, const Term& term) {
  std::set<int> moves;
  for (const auto& [move, count] : Connections(plan, step, term).counts()) moves.insert(move);
  return moves;
}

namespace {

// Output pixels of one phase, in one direction, that a tap serves from one phase of the input with one shift.
struct Reach {
  int phase = 0, shift = 0;  // of the input; positions
  std::vector<int> to;       // positions of the output
};

// size, phases, gap: of the output and of the input; offset: input pixel that output pixel 0 reads.
struct Axis {
  int size, phases, gap, in_size, in_phases, in_gap, stride, offset;

  [[nodiscard]] std::vector<Reach> reaches(int phase) const {
    std::vector<Reach> list;
    for (int y = 0; y < size; ++y) {
      const int canvas = y * gap, from = y * stride + offset;
      if (canvas % phases != phase || from < 0 || from >= in_size) continue;
      const int position = canvas / phases, source = from * in_gap;
      const Reach key{source % in_phases, source / in_phases - position, {}};
      auto it = std::find_if(list.begin(), list.end(),
                             [&](const Reach& r) { return r.phase == key.phase && r.shift == key.shift; });
      if (it == list.end()) it = list.insert(list.end(), key);
      it->to.push_back(position);
    }
    return list;
  }
};

// Adds the tap (ky, kx) of a convolution for one output phase: nothing if no output pixel of the phase reads it.
void add_convolution_tap(const Plan& plan, const Step& step, int k, int phase, int ky, int kx, std::vector<Tap>& taps) {
  const Term& term = step.terms[static_cast<std::size_t>(k)];
  const Layout& in = plan.tensors[static_cast<std::size_t>(term.source)].layout;
  const Layout& out = plan.tensors[static_cast<std::size_t>(step.output)].layout;
  const Axes& t = plan.tile;
  const Axis rows{out.height,  out.phases.h, out.gap.h,     in.height,
                  in.phases.h, in.gap.h,     term.stride_h, ky * term.dilation_h - term.pad_top};
  const Axis columns{out.width,   out.phases.w, out.gap.w,     in.width,
                     in.phases.w, in.gap.w,     term.stride_w, kx * term.dilation_w - term.pad_left};
  const auto across = columns.reaches(phase % out.phases.w);
  for (const Reach& y : rows.reaches(phase / out.phases.w)) {
    for (const Reach& x : across) {
      Tap tap{k, ky * term.kernel_w + kx, {term.source, y.phase * in.phases.w + x.phase, y.shift * t.w + x.shift}, {}};
      tap.mask.assign(static_cast<std::size_t>(t.area()), 0);
      for (int py : y.to)
        for (int px : x.to) tap.mask[static_cast<std::size_t>(py * t.w + px)] = 1;
      if (y.to.size() * x.to.size() == tap.mask.size() && term.map.empty()) tap.mask.clear();
      taps.push_back(std::move(tap));
    }
  }
}

// The taps of a term for one output phase, without moves of channels. used: those with a weight.
std::vector<Tap> taps_of(const Plan& plan, const Step& step, int k, int phase, const std::vector<bool>& used) {
  const Term& term = step.terms[static_cast<std::size_t>(k)];
  std::vector<Tap> taps;
  if (term.kind == Term::Kind::copy) {
    const bool for_all = plan.tensors[static_cast<std::size_t>(term.source)].layout.phase_count() == 1;
    return {{k, 0, {term.source, for_all ? 0 : phase, 0}, {}}};
  }
  if (term.kind == Term::Kind::full) {
    const Layout& in = plan.tensors[static_cast<std::size_t>(term.source)].layout;
    for (int p = 0; p < in.phase_count(); ++p) taps.push_back({k, p, {term.source, p, 0}, {}});
    return taps;
  }
  for (int ky = 0; ky < term.kernel_h; ++ky)
    for (int kx = 0; kx < term.kernel_w; ++kx)
      if (used[static_cast<std::size_t>(ky * term.kernel_w + kx)])
        add_convolution_tap(plan, step, k, phase, ky, kx, taps);
  return taps;
}

}  // namespace

Schedule make_schedule(const Plan& plan) {
  for (const Tensor& t : plan.tensors) {
    const Layout& l = t.layout;
    if ((l.height - 1) * l.gap.h >= l.phases.h * plan.tile.h || (l.width - 1) * l.gap.w >= l.phases.w * plan.tile.w)
      throw Error(ErrorCode::bad_input,
                  "the feature map " + t.name + " is larger than the packing; use less padding before strides");
  }
  Schedule schedule;
  std::map<Source, ckks::Level> copied;  // rotated copies
  for (std::size_t s = 0; s < plan.steps.size(); ++s) {
    const Step& step = plan.steps[s];
    const Layout& out = plan.tensors[step.output].layout;
    std::vector<std::set<int>> shifts(step.terms.size());  // of the sources, by term
    std::vector<std::vector<bool>> used;
    for (const Term& term : step.terms) used.push_back(taps_in_use(term));
    std::vector<std::map<int, std::size_t>> products(step.terms.size());  // of a tap without its shift, by shift
    Task same{static_cast<int>(s), 0, {}};                                // what the tasks of all phases have in common
    const bool gaps = fills_gaps(plan, step);
    std::map<int, std::set<int>> turned{{0, {}}};  // blocks with a sum, by giant step
    for (std::size_t k = 0; k < step.terms.size(); ++k) {
      if (gaps) {
        shifts[k].insert(0);
        for (const auto& [way, blocks] : connected_in_gaps(plan, step, step.terms[k])) {
          products[k][0] += blocks.size();
          for (const auto& [to, from] : blocks) turned[way].insert(to);
        }
        continue;
      }
      const std::map<int, std::size_t> moves = plan.group() > 1 && !step.slotwise()
                                                   ? Connections(plan, step, step.terms[k]).counts()
                                                   : std::map<int, std::size_t>{{0, 0}};
      for (const auto& [move, blocks] : moves) {
        const int giant = floor_div(move, step.baby);
        shifts[k].insert(move - giant * step.baby);
        products[k][move - giant * step.baby] += blocks;
        same.first_giant = std::min(same.first_giant, giant);
        same.last_giant = std::max(same.last_giant, giant);
      }
    }
    same.turned_sums =
        static_cast<std::size_t>(same.last_giant - same.first_giant) * static_cast<std::size_t>(out.blocks());
    for (const auto& [way, blocks] : turned) {
      if (gaps) same.giants.push_back(way);
      if (way != 0) same.turned_sums += blocks.size();
    }
    for (int phase = 0; phase < out.phase_count(); ++phase) {
      Task task = same;
      task.phase = phase;
      for (std::size_t k = 0; k < step.terms.size(); ++k) {
        for (const Tap& plain : taps_of(plan, step, static_cast<int>(k), phase, used[k])) {
          for (int shift : shifts[k]) {
            Tap tap = plain;
            tap.shift = shift;
            tap.source.rotation += std::int64_t{shift} * plan.tile.area();
            task.products += products[k][shift];
            task.taps.push_back(std::move(tap));
          }
        }
      }
      const int index = static_cast<int>(schedule.tasks.size());
      const auto use = [&](const Source& source) {
        auto& uses = schedule.uses[source];
        if (uses.empty() || uses.back().first != index) uses.emplace_back(index, step.level);
      };
      for (const Tap& tap : task.taps) {
        // The last of the copies first: each is made from the next, if it is not there.
        Tap made = tap;
        while (made.source.rotation != 0 && !copied[made.source].covers(step.level)) {
          copied[made.source] = step.level;
          made.source = made_from(plan, made);
          use(made.source);
        }
        use(tap.source);
      }
      schedule.tasks.push_back(std::move(task));
    }
  }
  return schedule;
}

std::map<bootstrap::BootstrapSwitch, int> activation_switches(const Activation& activation, int limbs) {
  std::map<bootstrap::BootstrapSwitch, int> all;
  for (const auto& factor : activation.factors) {
    const int depth = ckks::chebyshev_depth(factor), products = ckks::chebyshev_products(factor);
    for (int l = 0; l < depth; ++l) all[{limbs - l, ckks::kRelinearise}] = (products + depth - 1) / depth;
    limbs -= depth;
  }
  if (activation.gate) all[{limbs, ckks::kRelinearise}] = 1;
  return all;
}

std::map<bootstrap::BootstrapSwitch, int> slotwise_switches(const Plan& plan, const Step& step) {
  if (step.kind == Kind::bootstrap) return bootstrap::required_switches(*plan.bootstrapping, plan.parameters.log_n);
  if (step.kind == Kind::multiply) return {{{step.level.limbs, ckks::kRelinearise}, 1}};
  return activation_switches(step.activation, step.level.limbs);
}

std::set<ckks::KeyId> keys_of(const Plan& plan, const Task& task) {
  const std::uint64_t n = std::uint64_t{1} << plan.parameters.log_n;
  const bool real = plan.parameters.kind == ring::RingKind::conjugate_invariant;
  const std::uint64_t order = (real ? 4 : 2) * n;
  const auto slots = static_cast<std::int64_t>(real ? n : n / 2);
  const Step& step = plan.steps[static_cast<std::size_t>(task.step)];
  std::set<ckks::KeyId> keys;
  if (step.slotwise()) {
    for (const auto& [s, times] : slotwise_switches(plan, step)) {
      const bool ephemeral = s.galois_element == ckks::kToEphemeral;
      const int tier = ephemeral ? ckks::ephemeral_tier(plan.keys.tiers) : tier_of(plan, s.limbs);
      if (tier < 0) throw Error(ErrorCode::bad_input, "the plan has no key tier for the ephemeral secret");
      keys.insert({tier, s.galois_element});
    }
    return keys;
  }
  const int tier = tier_of(plan, step.level);
  const auto add_rotation = [&](std::int64_t steps) {
    keys.insert({tier, simd::pow_mod(5, static_cast<std::uint64_t>((steps % slots + slots) % slots), order)});
  };
  bool sums = false;
  for (Tap tap : task.taps) {
    while (tap.source.rotation != 0) {
      const Source from = made_from(plan, tap);
      add_rotation(tap.source.rotation - from.rotation);
      tap.source = from;
    }
    sums = sums || step.terms[static_cast<std::size_t>(tap.term)].kind == Term::Kind::full;
  }
  if (task.first_giant < 0) add_rotation(-giant_rotation(plan, step));
  if (task.last_giant > 0) add_rotation(giant_rotation(plan, step));
  for (int way : task.giants)
    if (way != 0) add_rotation(way);
  if (sums)
    for (std::int64_t r : sum_rotations(plan.tile.area())) add_rotation(r);
  if (step.spread)
    for (std::int64_t r : sum_rotations(plan.tile.area())) add_rotation(-r);
  if (step.kind == Kind::square) keys.insert({tier_of(plan, levels_of(plan, step).product), ckks::kRelinearise});
  return keys;
}

std::map<ckks::KeyId, TaskSpan> key_spans(const Plan& plan, const Schedule& schedule) {
  std::map<ckks::KeyId, TaskSpan> spans;
  for (int t = 0; t < static_cast<int>(schedule.tasks.size()); ++t) {
    for (const ckks::KeyId& id : keys_of(plan, schedule.tasks[static_cast<std::size_t>(t)]))
      spans.try_emplace(id, TaskSpan{t, t}).first->second.last = t;
  }
  return spans;
}

std::vector<ckks::KeyId> required_keys(const Plan& plan, const Schedule& schedule) {
  std::vector<ckks::KeyId> keys;
  for (const auto& [id, span] : key_spans(plan, schedule)) keys.push_back(id);
  return keys;
}

}  // namespace sotto::plan
