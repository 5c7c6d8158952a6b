#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "shared.h"

namespace sotto::python {

namespace {

constexpr auto kLook = std::chrono::milliseconds(50);  // between two looks for signals and news

// What the thread that works leaves for the one that waits.
class Mailbox {
 public:
  struct News {
    std::vector<Progress> progress;
    std::vector<std::string> notes;
    bool done = false;
  };

  // Only the last of every stage is of interest.
  void post(const Progress& p) {
    const std::scoped_lock lock(mutex_);
    if (!news_.progress.empty() && news_.progress.back().stage == p.stage)
      news_.progress.back() = p;
    else
      news_.progress.push_back(p);
  }
  void post(const std::string& note) {
    const std::scoped_lock lock(mutex_);
    news_.notes.push_back(note);
  }
  void finish() {
    const std::scoped_lock lock(mutex_);
    news_.done = true;
    changed_.notify_one();
  }
  News wait() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kLook, [&] { return news_.done; });
    return std::exchange(news_, {{}, {}, news_.done});
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  News news_;
};

}  // namespace

void run(nb::handle progress, nb::handle note, const std::function<void(const Hooks&)>& work) {
  Mailbox mailbox;
  std::atomic<bool> stop = false;
  std::exception_ptr failure, refusal;  // of the work; of Python
  // Progress is always listened to: some work looks at `stop` only there.
  const Hooks hooks{.progress = [&](const Progress& p) { mailbox.post(p); },
                    .note = [&](const std::string& text) { mailbox.post(text); },
                    .stop = &stop};
  std::thread worker([&] {
    try {
      work(hooks);
    } catch (...) {
      failure = std::current_exception();
    }
    mailbox.finish();
  });
  for (bool done = false; !done;) {
    Mailbox::News news;
    {
      const nb::gil_scoped_release unlocked;
      news = mailbox.wait();
      if (news.done) worker.join();
    }
    done = news.done;
    if (refusal) continue;
    try {
      if (PyErr_CheckSignals() != 0) throw nb::python_error();
      if (!note.is_none())
        for (const std::string& text : news.notes) note(nb::str(text.c_str()));
      if (!progress.is_none())
        for (const Progress& p : news.progress) progress(nb::str(p.stage.c_str()), p.done, nb::str(p.what.c_str()));
    } catch (...) {
      refusal = std::current_exception();
      stop = true;
    }
  }
  if (refusal) std::rethrow_exception(refusal);
  if (failure) std::rethrow_exception(failure);
}

void run(const std::function<void()>& work) {
  run(nb::none(), nb::none(), [&](const Hooks&) { work(); });
}

}  // namespace sotto::python
