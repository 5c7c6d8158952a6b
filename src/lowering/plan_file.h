#pragma once

#include "lowering/compile.h"
#include "plan/client_spec.h"
#include "sotto/io.h"
#include "wire/format.h"

namespace sotto::lowering {

/// The public part of a training plan as that of any plan: what keys are made for.
plan::ClientSpec client_part(const TrainingPlan& plan);

/// Hash of everything that keys, inputs and outputs depend on.
std::string plan_id(const TrainingPlan& plan);

/// Makes a plan one whose results must be signed, which gives it another identity.
void set_signer(TrainingPlan& plan, const signing::VerificationKey& signer);

/// Files of docs/formats/training-plan.md: NAME.plan (wire::Kind::plan) and NAME.client (wire::Kind::client) hold the
/// same, network included: who gets the weights gets the network that they belong to. plan.id must be set.
void write_training_plan(const Sink& sink, const TrainingPlan& plan, wire::Kind kind);

/// Reads either and makes everything anew from network, spec and levels. Throws Error{bad_input} for a damaged file,
/// one that is no training plan, or one that does not fit its identity.
TrainingPlan read_training_plan(const Source& source, wire::Kind kind);

/// wire::Kind::client for a file of that kind, else wire::Kind::plan.
wire::Kind kind_of_training(const Source& source);

/// Whether a plan or a client description is one for training. Throws Error{bad_input} for what cannot be read.
bool is_training_plan(const Source& source, wire::Kind kind);

}  // namespace sotto::lowering
