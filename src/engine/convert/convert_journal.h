// What an unfinished conversion has written so far. Each unit of work is noted with a hash of its bytes, so that a later run trusts only
// what it finds on the disk: after a power failure notes and bytes may have been lost in any order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/os_append_file.h"
#include "base/result.h"

namespace rafter::engine {

[[nodiscard]] std::filesystem::path journal_path(const std::filesystem::path& out);
[[nodiscard]] std::filesystem::path partial_path(const std::filesystem::path& part);  // under which a part is written

class ConvertJournal {
  public:
    struct Description {
        std::uint64_t identity = 0;              // of the plan
        std::vector<std::string> partial_names;  // of the files that are written, without their folder
    };
    // Opens or makes the journal beside `out`; while it is open, no other process converts to the same output. A journal of another
    // identity is started over, its partial files are removed, and was_other() says so.
    [[nodiscard]] static Result<ConvertJournal> open(const std::filesystem::path& out, const Description& description);

    [[nodiscard]] bool was_other() const { return was_other_; }
    // Unit -> hash of its bytes, as noted by earlier runs.
    [[nodiscard]] const std::map<std::size_t, std::uint64_t>& noted() const { return noted_; }
    // All files are whole and on the disk: at most their names are missing.
    [[nodiscard]] bool is_complete() const { return is_complete_; }

    // Whether there is anything to continue from, of earlier runs or of this one.
    [[nodiscard]] bool has_notes() const { return has_notes_; }

    // From several threads.
    [[nodiscard]] Result<void> note(std::size_t unit, std::uint64_t hash);
    [[nodiscard]] Result<void> note_complete();
    void remove();

  private:
    ConvertJournal(AppendFile file, std::filesystem::path path);
    [[nodiscard]] Result<void> begin(const Description& description);

    AppendFile file_;
    std::filesystem::path path_;
    std::unique_ptr<std::mutex> mutex_;
    std::map<std::size_t, std::uint64_t> noted_;
    bool has_notes_ = false;
    bool is_complete_ = false;
    bool was_other_ = false;
};

}  // namespace rafter::engine
