// The two files of a batch, in OpenAI's format: requests, one a line, each with a custom_id of its own; and their results, in order of
// completion. https://platform.openai.com/docs/api-reference/batch/request-input
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/os_append_file.h"
#include "base/result.h"

namespace rafter::apps {

struct BatchLine {
    std::size_t number = 0;  // from 1
    std::string_view text;   // of the BatchRequests
    std::string custom_id;
};

class BatchRequests {
  public:
    // Called with each line, its JSON or why it is none, and the fraction of the file that has been read.
    using Visitor = std::function<void(const BatchLine& line, const Result<nlohmann::json>& value, double fraction)>;
    // Reads a file, or a pipe to its end. Blank lines are passed over. A line that is no JSON, but whose custom_id can be read all the
    // same, is a line like any other. Fails when a line has no custom_id or another line's: such a line's result could not be told from the
    // others'. After the first such line only custom_ids are checked, and `visit` is called no more.
    [[nodiscard]] static Result<BatchRequests> read(const std::string& path, const Visitor& visit);
    [[nodiscard]] const std::vector<BatchLine>& lines() const { return lines_; }
    // "prompts.jsonl: line 3", for messages.
    [[nodiscard]] std::string where(const BatchLine& line) const { return fmt::format("{}: line {}", path_, line.number); }

  private:
    std::string path_;
    std::unique_ptr<const std::string> text_;  // stays where it is: lines_ points into it
    std::vector<BatchLine> lines_;
};

inline constexpr std::string_view kResultIdPrefix = "batch_req_";

// What a result answers: batch_identity.h.
struct ResultIdentity {
    std::uint64_t request = 0;
    std::uint64_t model = 0;
};

// The results' file, which an earlier run may have begun.
class BatchResults {
  public:
    // Finds what is answered already, and cuts off a last line that was not finished. Fails, and changes nothing, on a file that holds
    // anything else than results.
    [[nodiscard]] static Result<BatchResults> open(const std::string& path);
    // The result of this custom_id, with what it answers where its id says so; null when there is none.
    [[nodiscard]] const std::optional<ResultIdentity>* find(const std::string& custom_id) const;
    // Moves the results of these custom_ids to the end of the file of set_aside_path(). After a crash they are in one of the two files.
    [[nodiscard]] Result<void> set_aside(const std::unordered_set<std::string>& custom_ids);
    [[nodiscard]] std::string set_aside_path() const { return path_ + ".replaced"; }

    // Appends a line: whole, or not at all when this fails. It survives the program's end at once, the machine's within a second of the
    // next add() or with sync(). "id" must come first, as batch_result_id() makes it.
    [[nodiscard]] Result<void> add(const nlohmann::ordered_json& result);
    [[nodiscard]] Result<void> sync();

  private:
    BatchResults(std::string path, AppendFile file) : path_(std::move(path)), file_(std::move(file)) {}
    [[nodiscard]] Error resumable(Error error) const;

    std::string path_;
    AppendFile file_;
    std::unordered_map<std::string, std::optional<ResultIdentity>> answered_;  // by custom_id
    std::int64_t synced_ns_ = 0;
};

// Whether both paths lead to one file.
[[nodiscard]] bool is_same_file(const std::string& one, const std::string& other);

}  // namespace rafter::apps
