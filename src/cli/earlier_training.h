#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ckks/ciphertext_file.h"
#include "cli/work_folder.h"
#include "lowering/compile.h"
#include "training/example.h"

namespace sotto::cli {

/// What a work folder holds of earlier runs of a training on these examples.
class EarlierTraining {
 public:
  /// The folder must outlive it.
  EarlierTraining(const WorkFolder& work, std::string plan_id, const std::vector<training::Example>& examples);

  /// Throws Error{wrong_key} if the folder holds unfinished steps of another training, Error{bad_input} if these are
  /// damaged or another run is at work on them. Nothing in the folder changes.
  void require_no_others() const;

  /// What its encrypted examples are, if they are these, for this plan under this key.
  [[nodiscard]] std::optional<ckks::CiphertextFileInfo> input(const std::string& key_id) const;
  /// What its finished steps are, if they are of this plan and key.
  [[nodiscard]] std::optional<ckks::CiphertextFileInfo> output(const std::string& key_id) const;
  /// To be called before examples are encrypted, so that the folder never takes them for others, and behind it.
  void forget_examples() const;
  void keep_examples() const;

 private:
  [[nodiscard]] std::optional<ckks::CiphertextFileInfo> read(const char* name, wire::Kind kind,
                                                             const std::string& key_id) const;

  const WorkFolder& work_;
  std::string plan_id_, digest_;
};

}  // namespace sotto::cli
