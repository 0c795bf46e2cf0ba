// The server's thread appends to a string; the writer swaps it for an empty one and writes. The writer shares its state with the log, so
// that one stuck in a write can be left behind when the program ends.
#include "server/observe/request_log.h"

#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <exception>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include "base/os_append_file.h"

namespace rafter::server {
namespace {

constexpr std::size_t kMaxQueuedBytes = 1'000'000;
constexpr double kEndSeconds = 2.0;

double unix_seconds() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

}  // namespace

class RequestLog::Writer : public std::enable_shared_from_this<Writer> {
  public:
    explicit Writer(const RequestLogOptions& options) : file_path_(options.file), notice_(options.notice) {}

    [[nodiscard]] Result<void> start() {
        if (!file_path_.empty()) {
            auto opened = AppendFile::open(file_path_);
            if (!opened) return opened.error();
            file_.emplace(*std::move(opened));
        }
        try {
            std::thread([self = shared_from_this()] { self->run(); }).detach();
        } catch (const std::system_error& failure) {
            return Error{fmt::format("no thread for the request log: {}", failure.what()), ErrorKind::kIo};
        }
        return {};
    }

    void queue(std::string_view line) {
        const std::lock_guard lock(mutex_);
        if (queued_.size() + line.size() >= kMaxQueuedBytes) {
            ++n_lost_;
            ++n_lost_unsaid_;
            return;
        }
        queued_.reserve(queued_.size() + line.size() + 1);  // a line is there whole or not at all
        queued_ += line;
        queued_ += '\n';
        ++n_queued_;
        changed_.notify_all();
    }
    // A line that there was no memory for.
    void lose() {
        const std::lock_guard lock(mutex_);
        ++n_lost_;
        ++n_lost_unsaid_;
    }
    void reopen() {
        const std::lock_guard lock(mutex_);
        reopen_ = true;
        changed_.notify_all();
    }
    void end(double seconds) {
        std::unique_lock lock(mutex_);
        end_ = true;
        changed_.notify_all();
        (void)written_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return ended_; });
    }
    bool wait_until_written(double seconds) {
        std::unique_lock lock(mutex_);
        return written_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return n_queued_ == 0 && !writing_ && !reopen_; });
    }
    std::uint64_t n_lost() {
        const std::lock_guard lock(mutex_);
        return n_lost_;
    }

  private:
    void run() {
        std::string lines;
        std::unique_lock lock(mutex_);
        while (true) {
            changed_.wait(lock, [this] { return n_queued_ > 0 || reopen_ || end_; });
            if (n_queued_ == 0 && !reopen_) break;
            lines.clear();
            lines.swap(queued_);
            const std::uint64_t n = std::exchange(n_queued_, 0);
            const bool open_again = std::exchange(reopen_, false);
            writing_ = true;
            lock.unlock();
            // The file is this thread's alone.
            if (open_again) file_.reset();
            const bool written = write(lines);
            lock.lock();
            const std::uint64_t n_lost_before = std::exchange(n_lost_unsaid_, 0);
            lock.unlock();
            const std::uint64_t n_lost_now = tell(written, n, n_lost_before);
            lock.lock();
            n_lost_ += written ? 0 : n;
            n_lost_unsaid_ += n_lost_now;
            writing_ = false;
            written_.notify_all();
        }
        ended_ = true;
        written_.notify_all();
    }

    // With the reason in why_ when it fails.
    [[nodiscard]] bool write(std::string_view lines) noexcept {
        try {
            const Result<void> written = file_path_.empty() ? write_to_stderr(lines) : write_to_file(lines);
            if (!written) why_ = written.error().message;
            return written.has_value();
        } catch (const std::exception&) {  // no memory
            return false;
        }
    }
    [[nodiscard]] static Result<void> write_to_stderr(std::string_view lines) {
        if (std::fwrite(lines.data(), 1, lines.size(), stderr) == lines.size() && std::fflush(stderr) == 0) return {};
        std::clearerr(stderr);
        return Error{"stderr: cannot write", ErrorKind::kIo};
    }
    [[nodiscard]] Result<void> write_to_file(std::string_view lines) {
        if (!file_) {
            RAFTER_TRY(AppendFile opened, AppendFile::open(file_path_));
            file_.emplace(std::move(opened));
        }
        Result<void> written = file_->append(lines);
        if (!written) file_.reset();  // its size may not be what it was
        return written;
    }

    // Returns how many lost lines nobody has been told of yet.
    std::uint64_t tell(bool written, std::uint64_t n, std::uint64_t n_lost_before) noexcept {
        try {
            if (notice_ && !written && !losing_) notice_(fmt::format("{}; lines of the request log are lost until it can", why_));
            if (notice_ && written && n_lost_before > 0)
                notice_(fmt::format("the request log is written again; {} lines were lost", n_lost_before));
        } catch (const std::exception&) {  // no memory: it goes untold
        }
        losing_ = !written;
        return written ? 0 : n_lost_before + n;
    }

    const std::filesystem::path file_path_;
    const std::function<void(std::string_view)> notice_;
    std::optional<AppendFile> file_;
    bool losing_ = false;
    std::string why_;

    std::mutex mutex_;  // for what follows
    std::condition_variable changed_, written_;
    std::string queued_;  // whole lines
    std::uint64_t n_queued_ = 0;
    std::uint64_t n_lost_ = 0;
    std::uint64_t n_lost_unsaid_ = 0;
    bool reopen_ = false;
    bool end_ = false;
    bool writing_ = false;
    bool ended_ = false;
};

RequestLog::RequestLog(RequestLogOptions options, std::shared_ptr<Writer> writer)
    : options_(std::move(options)), writer_(std::move(writer)) {}

Result<std::unique_ptr<RequestLog>> RequestLog::open(RequestLogOptions options) {
    auto writer = std::make_shared<Writer>(options);
    RAFTER_TRY_VOID(writer->start());
    return std::unique_ptr<RequestLog>(new RequestLog(std::move(options), std::move(writer)));
}

RequestLog::~RequestLog() { writer_->end(kEndSeconds); }

void RequestLog::write(const RequestRecord& record, std::string_view prompt) {
    const std::string_view shown = options_.log_prompts ? prompt : std::string_view();
    try {
        const double now = unix_seconds();
        writer_->queue(options_.format == LogFormat::kJson ? json_line(record, now, shown) : plain_line(record, now, shown));
    } catch (const std::exception&) {
        writer_->lose();
    }
}

void RequestLog::reopen() { writer_->reopen(); }
std::uint64_t RequestLog::n_lost() const { return writer_->n_lost(); }
bool RequestLog::wait_until_written(double seconds) { return writer_->wait_until_written(seconds); }

}  // namespace rafter::server
