#include "cli/require_known.h"

#include "base/error.h"
#include "cli/console.h"
#include "client/known_plans.h"

namespace sotto::cli {

void require_known(const std::string& keys, const std::string& client, const std::string& plan_id) {
  switch (client::known_plan(keys, plan_id)) {
    case client::Known::yes:
      return;
    case client::Known::no:
      throw Error(ErrorCode::wrong_key, client + " describes plan " + plan_id + ", for which " + keys +
                                            " has no keys; if it is the one you want, run keygen for it");
    case client::Known::unrecorded:
      print_note(keys + " does not say which plans it is for; " + client + " describes plan " + plan_id);
  }
}

}  // namespace sotto::cli
