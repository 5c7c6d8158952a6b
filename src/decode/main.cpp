// sotto-decode: decodes pictures for the program that starts it, in a process that can do nothing else.
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "decode/serve.h"

int main() {
  int type = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(STDIN_FILENO, SOL_SOCKET, SO_TYPE, &type, &size) != 0) {
    std::fputs("sotto-decode: it is started by sotto and sotto-server, which have pictures decoded by it\n", stderr);
    return 2;
  }
  // It ends with whoever started it, also in the middle of a picture.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // Memory of one picture serves the next, without asking the system anew.
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 256 << 20);
  // At once: nothing is left to tidy up, and few system calls are left.
  ::_exit(sotto::decode::serve(sotto::decode::decode_picture));
}
