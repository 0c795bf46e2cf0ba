// The two files of a batch, in OpenAI's format: requests, one a line, each with a custom_id of its own; and their results, in order of
// completion. https://platform.openai.com/docs/api-reference/batch/request-input
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
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
    // Called with each line, its JSON, and the fraction of the file that has been read.
    using Visitor = std::function<void(const BatchLine& line, const nlohmann::json& value, double fraction)>;
    // Reads a file, or a pipe to its end. Blank lines are passed over. Fails when a line is no JSON object, has no custom_id or another
    // line's: such a line's result could not be told from the others'. After the first such line only custom_ids are checked, and `visit`
    // is called no more.
    [[nodiscard]] static Result<BatchRequests> read(const std::string& path, const Visitor& visit);
    [[nodiscard]] const std::vector<BatchLine>& lines() const { return lines_; }
    // "prompts.jsonl: line 3", for messages.
    [[nodiscard]] std::string where(const BatchLine& line) const { return fmt::format("{}: line {}", path_, line.number); }

  private:
    std::string path_;
    std::unique_ptr<const std::string> text_;  // stays where it is: lines_ points into it
    std::vector<BatchLine> lines_;
};

// The results' file, which an earlier run may have begun.
class BatchResults {
  public:
    // Finds what is answered already, and cuts off a last line that was not finished. Fails, and changes nothing, on a file that holds
    // anything else than results.
    [[nodiscard]] static Result<BatchResults> open(const std::string& path);
    [[nodiscard]] bool has(const std::string& custom_id) const { return answered_.contains(custom_id); }

    // Appends a line: whole, or not at all when this fails. It survives the program's end at once, the machine's within a second of the
    // next add() or with sync(). "id" must come first, as batch_request_id() makes it.
    [[nodiscard]] Result<void> add(const nlohmann::ordered_json& result);
    [[nodiscard]] Result<void> sync();

  private:
    explicit BatchResults(AppendFile file) : file_(std::move(file)) {}
    [[nodiscard]] Error resumable(Error error) const;

    AppendFile file_;
    std::unordered_set<std::string> answered_;
    std::int64_t synced_ns_ = 0;
};

[[nodiscard]] std::string batch_request_id(std::string_view unique);

// Whether both paths lead to one file.
[[nodiscard]] bool is_same_file(const std::string& one, const std::string& other);

}  // namespace rafter::apps
