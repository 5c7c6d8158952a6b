#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace sotto::images {

/// The pictures that folders and files name, in order.
struct PictureList {
  struct Entry {
    std::filesystem::path path;
    std::string name;
  };
  std::vector<Entry> entries;
  std::string skipped;  ///< what was passed over, in words: "2 WebP (a.webp, ...)"; empty if nothing was
};

/// Lists pictures (files named .png, .jpg or .jpeg in folders, any file named by itself). A folder is read with all
/// below it in the order of names; links are followed, but not back up into a folder that is being read; what begins
/// with a dot is left alone. A file from a folder is called by its path from there, one named by itself by its file
/// name; where two files would have the same name, all are paths from the folder that they have in common.
/// Throws Error{bad_input} for what does not exist or cannot be read.
PictureList list_pictures(const std::vector<std::string>& sources);

}  // namespace sotto::images
