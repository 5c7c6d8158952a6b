#pragma once

#include <string>
#include <vector>

#include "cli/data_options.h"
#include "cli/result_origin.h"
#include "cli/step_report.h"
#include "client/training.h"

namespace sotto::cli {

/// Images with their labels, as a training takes them. Throws Error{bad_input} for images without labels.
std::vector<training::Example> examples_of(const std::vector<images::Image>& images, const plan::Interface& io);

/// The same data set's training half, where a plain name means the test half and the training half is there:
/// "mnist:DIR" with training images in DIR. Others stay as they are.
std::vector<std::string> training_half(std::vector<std::string> sources);

/// Throws Error{usage} if the name of a file, for a network, has the ending of something else.
void require_onnx_name(const std::string& path);

/// What `encrypt --labels` does for a training plan.
struct TrainingEncryption {
  std::string client, keys, out;
  DataOptions data;
};
int encrypt_training(const TrainingEncryption& o, StepReport& report);

/// What `decrypt` does for one: writes the trained network and, if asked for, a table of losses (CSV).
struct TrainingDecryption {
  std::string client, keys, in, out, csv;
  OriginOptions origin;
};
int decrypt_training(const TrainingDecryption& o, StepReport& report);

/// A loss for the user: no more digits than mean something, however large it is, and no negative zero.
std::string format_loss(double loss);

/// A line about the first step whose results left the range; empty if none did.
std::string overflow_line(int overflow, const training::Spec& spec);

}  // namespace sotto::cli
