#pragma once

namespace sotto_faults {

/// What calls are counted by. `change` numbers all calls that change files or folders, of whatever class: what stays
/// behind when a process is killed.
enum Class {
  memory,
  open_file,
  read_file,
  write_file,
  name_file,
  remove_file,
  sync_file,
  truncate_file,
  folder,
  close_file,
  change,
  kClasses
};

constexpr int kShort = -1;

/// Counting begins and ends.
void set_counting(bool on);

/// Counts a call and says what happens to it: nothing (0), an error (errno), or kShort. Does not return if the process
/// is to end. path, or an open file, is what the report names.
int strike(Class c, const char* function, const char* path, int fd = -1);
/// The same for a call that also changes what is on the disk.
int strike_change(Class c, const char* function, const char* path, int fd = -1);
/// Counts a memory call; true, with errno set, if it must fail.
bool no_memory(const char* function);

}  // namespace sotto_faults
