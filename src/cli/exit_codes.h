#pragma once

namespace sotto::cli {

/// Exit code of verbs whose results are doubtful, beside those of ErrorCode.
inline constexpr int kDoubtful = 6;

}  // namespace sotto::cli
