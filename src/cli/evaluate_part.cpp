#include "cli/evaluate_part.h"

#include <fstream>

#include "base/error.h"
#include "cli/console.h"
#include "cli/process.h"
#include "cli/work_folder.h"
#include "client/batch.h"
#include "client/results.h"
#include "plan/plan_file.h"

namespace sotto::cli {

namespace fs = std::filesystem;

PartResult run_part(const plan::Plan& plan, std::span<const std::vector<double>> values, int threads,
                    const std::string& memory) {
  const WorkFolder work;
  plan::write_plan(work / "net.plan", plan);
  plan::write_client(work / "net.client", plan::client_part(plan));
  const plan::ClientSpec spec = plan::read_client(work / "net.client");
  const auto owner = secret::OwnerKey::generate();
  const client::Keys keys = client::keys_of(owner, ckks::Parameters::create(plan.parameters));
  {
    ProgressLine line("keys");
    client::write_evaluation_keys({keys.parameters, spec.keys}, owner, work / "eval.key",
                                  [&](std::size_t done, std::size_t total) { line.update(done, total); });
  }
  {
    ProgressLine line("encryption");
    client::encrypt_images(spec, keys, values, work / "in.sotto",
                           [&](std::size_t done, std::size_t total) { line.update(done, total); });
  }

  // The inference process gets the plan, the evaluation keys and the ciphertexts, as a server would.
  std::vector<std::string> command = {(program_folder() / "sotto-server").string(),
                                      "infer",
                                      work / "net.plan",
                                      "--eval-key",
                                      work / "eval.key",
                                      "--in",
                                      work / "in.sotto",
                                      "--out",
                                      work / "out.sotto",
                                      "--stats",
                                      work / "stats.json",
                                      "--threads",
                                      std::to_string(threads)};
  if (!memory.empty()) command.insert(command.end(), {"--memory", memory});
  const ProcessResult inference = run_process(command);
  PartResult result;
  result.exit_code = inference.exit_code;
  if (inference.exit_code > 128 && inference.exit_code != static_cast<int>(ErrorCode::interrupted)) {
    check_stop();
    throw Error(ErrorCode::no_resources, "the inference process was killed (signal " +
                                             std::to_string(inference.exit_code - 128) +
                                             "); most likely the memory did not suffice");
  }
  if (inference.exit_code != 0) return result;

  ProgressLine line("decryption");
  client::Decrypted decrypted = client::decrypt_scores(
      spec, keys, work / "out.sotto", {}, [&](std::size_t done, std::size_t total) { line.update(done, total); });
  result.scores = std::move(decrypted.scores);
  result.doubts = std::move(decrypted.doubts);
  std::ifstream stats(work / "stats.json");
  result.stats = nlohmann::json::parse(stats);
  result.cost = plan::estimate(plan, threads, memory.empty() ? 0 : parse_bytes(memory));
  result.wall_seconds = inference.wall_seconds;
  result.key_bytes = fs::file_size(work / "eval.key");
  result.input_bytes = fs::file_size(work / "in.sotto");
  result.output_bytes = fs::file_size(work / "out.sotto");
  return result;
}

}  // namespace sotto::cli
