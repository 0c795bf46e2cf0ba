// The request log: one line a request, to stderr or a file. A thread of its own writes, so that a full disk or a pipe that nobody reads
// costs lines and never a request.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "server/observe/request_record.h"

namespace rafter::server {

enum class LogFormat {
    kPlain,  // for people: what matters in columns, the rest as name=value
    kJson,   // an object a line
};

struct RequestLogOptions {
    LogFormat format = LogFormat::kPlain;
    std::filesystem::path file;  // empty: stderr
    bool log_prompts = false;    // otherwise write() drops them
    // Told, on the log's own thread, once when lines begin to be lost and once, with their number, when they can be written again. Empty:
    // nobody is told.
    std::function<void(std::string_view message)> notice = {};
};

class RequestLog {
  public:
    // Fails where the file cannot be opened, and where the system gives no thread.
    [[nodiscard]] static Result<std::unique_ptr<RequestLog>> open(RequestLogOptions options);
    // What is queued is written first; one that cannot write within 2 seconds loses it.
    ~RequestLog();
    RequestLog(const RequestLog&) = delete;
    RequestLog& operator=(const RequestLog&) = delete;

    // From any thread; never waits for the disk. Beyond a megabyte of unwritten lines it loses the line. prompt: the request's text.
    void write(const RequestRecord& record, std::string_view prompt = {});
    // The file is opened again by its name, soon: after it was renamed. A file that cannot be opened loses lines until it can.
    void reopen();
    [[nodiscard]] std::uint64_t n_lost() const;  // lines, since the start
    // Whether all that was queued before has been written or lost; waits at most so long. For tests and for the end.
    bool wait_until_written(double seconds);

  private:
    class Writer;
    RequestLog(RequestLogOptions options, std::shared_ptr<Writer> writer);
    const RequestLogOptions options_;
    const std::shared_ptr<Writer> writer_;
};

// The line without its end. time_seconds: since 1970, when the request ended. Control characters, quotes and bytes beyond ASCII of values
// from outside are escaped, and long ones are cut in their middle.
[[nodiscard]] std::string plain_line(const RequestRecord& record, double time_seconds, std::string_view prompt = {});
[[nodiscard]] std::string json_line(const RequestRecord& record, double time_seconds, std::string_view prompt = {});

}  // namespace rafter::server
