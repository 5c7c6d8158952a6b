#include "plan/answer_slots.h"

namespace sotto::plan {

AnswerSlots::AnswerSlots(const Plan& plan)
    : tile_(plan.tile),
      group_(static_cast<std::size_t>(plan.group())),
      batch_(static_cast<std::size_t>(plan.batch)),
      outputs_(static_cast<std::size_t>(plan.io.outputs)) {}

AnswerSlots::AnswerSlots(const ClientSpec& spec)
    : tile_(spec.tile),
      group_(static_cast<std::size_t>(spec.input.layout.group)),
      batch_(static_cast<std::size_t>(spec.batch)),
      outputs_(static_cast<std::size_t>(spec.io.outputs)) {}

}  // namespace sotto::plan
