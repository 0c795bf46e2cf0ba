// The run: units of some rows each, taken by all threads in order, written where the plan says and noted in the journal.
#include <algorithm>
#include <atomic>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "base/os_file.h"
#include "base/os_memory.h"
#include "base/os_partial_file.h"
#include "base/xxh3.h"
#include "engine/convert/convert.h"
#include "engine/convert/convert_journal.h"
#include "engine/convert/convert_rows.h"
#include "engine/convert/convert_units.h"
#include "engine/convert/finite_weights.h"
#include "files/gguf_format.h"
#include "tensor/formats/formats.h"

namespace rafter::engine {
namespace {

namespace fs = std::filesystem;
using tensor::DType;

// What the threads share.
class Writing {
  public:
    Writing(const ConversionPlan& plan, const files::TensorSource& source, ConvertJournal& journal, const std::vector<PartialFile>& files)
        : plan_(plan),
          source_(source),
          journal_(journal),
          files_(files),
          units_(units_of(plan)),
          is_done_(units_.size(), 0),
          errors_(units_.size()) {
        for (const ConvertUnit& unit : units_) {
            const PlannedTensor& tensor = plan.tensors[unit.tensor];
            read_bytes_ = std::max(read_bytes_, tensor.source->bytes.empty() ? unit.n_rows * tensor.source->row_bytes() : 0);
            written_bytes_ = std::max(written_bytes_, unit.n_rows * written_row_bytes(tensor));
        }
    }

    // Marks the units that earlier runs wrote and that are still there. Returns their bytes.
    std::uint64_t find_written(ThreadPool& pool, std::span<std::byte> memory);
    // False when it was stopped.
    Result<bool> write_rest(ThreadPool& pool, std::span<std::byte> memory, const ConvertHooks& hooks);
    [[nodiscard]] RefineOutcome outcome() const;
    [[nodiscard]] std::size_t bytes_per_thread() const { return read_bytes_ + written_bytes_; }

  private:
    using Work = std::function<Result<void>(std::size_t unit, std::span<std::byte> memory)>;
    void run_on_all(ThreadPool& pool, std::span<std::byte> memory, std::span<const std::size_t> units, const Work& work,
                    const ConvertHooks& hooks);
    // What a round's units need to know of their inputs. False when it was stopped.
    Result<bool> collect(const ConvertRound& round, const ConvertHooks& hooks);
    void fail(std::size_t unit, Error error);
    Result<void> check_written(std::size_t unit, std::span<std::byte> memory);
    Result<void> write(std::size_t unit, std::span<std::byte> memory);
    // Returns the largest magnitude of the rows.
    float encode(std::size_t unit, std::span<const std::byte> rows, std::span<std::byte> to);
    Result<void> check_finite(const ConvertUnit& unit, std::span<const std::byte> rows) const;
    Result<void> check_fits(const ConvertUnit& unit, float largest, std::span<const std::byte> written) const;
    [[nodiscard]] std::uint64_t bytes_of(const ConvertUnit& unit) const {
        return unit.n_rows * written_row_bytes(plan_.tensors[unit.tensor]);
    }
    [[nodiscard]] std::uint64_t offset_of(const ConvertUnit& unit) const {
        const PlannedTensor& tensor = plan_.tensors[unit.tensor];
        return tensor.offset_bytes + unit.first_row * written_row_bytes(tensor);
    }

    const ConversionPlan& plan_;
    const files::TensorSource& source_;
    ConvertJournal& journal_;
    const std::vector<PartialFile>& files_;
    const std::vector<ConvertUnit> units_;
    std::vector<char> is_done_;  // [units], not bits: threads set their own
    std::size_t read_bytes_ = 0;
    std::size_t written_bytes_ = 0;
    std::atomic<std::size_t> next_ = 0;
    std::atomic<std::uint64_t> n_done_bytes_ = 0;
    InputFeedback* feedback_ = nullptr;            // of the round at hand; null: none
    std::vector<backend::FeedbackErrors> errors_;  // [units], of those that were fed back
    std::atomic<double> done_cost_ = 0.0;
    double all_cost_ = 1.0;
    std::set<std::size_t> tensors_unknown_;  // that were to be fed back, but nothing is known of their inputs
    std::atomic<bool> stop_ = false;
    std::mutex mutex_;
    std::optional<std::pair<std::size_t, Error>> failure_;  // of the first unit that failed
};

void Writing::fail(std::size_t unit, Error error) {
    const std::lock_guard lock(mutex_);
    if (!failure_ || unit < failure_->first) failure_ = {unit, std::move(error)};
    stop_ = true;
}

// Units are begun in order and those begun are finished, so the first failure is the same for any number of threads.
void Writing::run_on_all(ThreadPool& pool, std::span<std::byte> memory, std::span<const std::size_t> units, const Work& work,
                         const ConvertHooks& hooks) {
    next_ = 0;
    pool.run([&](unsigned thread) {
        const std::span<std::byte> mine = memory.subspan(thread * bytes_per_thread(), bytes_per_thread());
        while (!stop_) {
            const std::size_t next = next_++;
            if (next >= units.size()) return;
            const std::size_t unit = units[next];
            try {
                if (auto done = work(unit, mine); !done) fail(unit, done.error());
                if (thread != 0) continue;
                if (hooks.progress) hooks.progress(done_cost_ / all_cost_);
                if (hooks.is_stopped && hooks.is_stopped()) stop_ = true;
            } catch (const std::exception& thrown) {
                fail(unit, error_of(thrown));
            }
        }
    });
}

std::uint64_t Writing::find_written(ThreadPool& pool, std::span<std::byte> memory) {
    if (journal_.noted().empty()) return 0;
    std::vector<std::size_t> all(units_.size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    run_on_all(pool, memory, all, [this](std::size_t unit, std::span<std::byte> mine) { return check_written(unit, mine); }, {});
    return n_done_bytes_;
}

Result<void> Writing::check_written(std::size_t index, std::span<std::byte> memory) {
    const auto noted = journal_.noted().find(index);
    if (noted == journal_.noted().end()) return {};
    const ConvertUnit& unit = units_[index];
    const std::span<std::byte> bytes = memory.first(bytes_of(unit));
    const auto n_read = files_[plan_.tensors[unit.tensor].part].read_at(offset_of(unit), bytes);
    if (!n_read || *n_read != bytes.size() || xxh3(bytes) != noted->second) return {};  // lost: written again
    is_done_[index] = 1;
    n_done_bytes_ += bytes.size();
    return {};
}

Result<bool> Writing::write_rest(ThreadPool& pool, std::span<std::byte> memory, const ConvertHooks& hooks) {
    const std::vector<ConvertRound> rounds = rounds_of(plan_, units_, hooks.feedback);
    all_cost_ = 0.0;
    for (const ConvertRound& round : rounds) {
        const bool is_fed_back = &round != &rounds.back();
        double cost = is_fed_back ? hooks.feedback->cost(round.pass) : 0.0;
        double left = cost;
        for (const std::size_t unit : round.units) {
            const double of_unit = cost_of(plan_, units_[unit], is_fed_back);
            cost += of_unit;
            left += is_done_[unit] != 0 ? 0.0 : of_unit;
        }
        const bool is_whole = std::ranges::all_of(round.units, [this](std::size_t unit) { return is_done_[unit] != 0; });
        all_cost_ += cost;
        done_cost_ = done_cost_ + (is_whole ? cost : cost - left);
    }
    for (const ConvertRound& round : rounds) {
        if (std::ranges::all_of(round.units, [this](std::size_t unit) { return is_done_[unit] != 0; })) continue;
        const bool is_fed_back = &round != &rounds.back();
        if (is_fed_back) {
            RAFTER_TRY(const bool is_collected, collect(round, hooks));
            if (!is_collected) return false;
        }
        feedback_ = is_fed_back ? hooks.feedback : nullptr;
        run_on_all(
            pool, memory, round.units, [this](std::size_t unit, std::span<std::byte> mine) { return write(unit, mine); }, hooks);
        if (hooks.feedback != nullptr) hooks.feedback->release();
        if (failure_) return failure_->second;
        if (stop_) return false;
    }
    return true;
}

Result<bool> Writing::collect(const ConvertRound& round, const ConvertHooks& hooks) {
    const std::size_t n_passes = hooks.feedback->n_passes();
    const auto words = [&](std::string_view what) {
        if (hooks.stage) hooks.stage(n_passes > 1 ? fmt::format("{} (part {} of {})", what, round.pass + 1, n_passes) : std::string(what));
    };
    words("reading the text");
    const double before = done_cost_;
    const double cost = hooks.feedback->cost(round.pass);
    RAFTER_TRY(const bool is_collected, hooks.feedback->collect(round.pass, {.progress =
                                                                                 [&](double fraction) {
                                                                                     if (!hooks.progress) return;
                                                                                     hooks.progress((before + fraction * cost) / all_cost_);
                                                                                 },
                                                                             .is_stopped = hooks.is_stopped}));
    done_cost_ = before + cost;
    words("encoding");
    return is_collected;
}

RefineOutcome Writing::outcome() const {
    struct OfTensor {
        backend::FeedbackErrors errors;
        std::uint64_t n_rows = 0;
    };
    std::map<std::size_t, OfTensor> tensors;
    for (std::size_t i = 0; i < units_.size(); ++i) {
        if (!(errors_[i].plain > 0.0)) continue;
        OfTensor& tensor = tensors[units_[i].tensor];
        tensor.errors.plain += errors_[i].plain;
        tensor.errors.kept += errors_[i].kept;
        tensor.errors.n_plain += errors_[i].n_plain;
        tensor.n_rows += units_[i].n_rows;
    }
    RefineOutcome outcome;
    double ratios = 0.0;
    for (const auto& [number, tensor] : tensors) {
        ++outcome.n_tensors;
        outcome.n_tensors_plain += tensor.errors.n_plain == tensor.n_rows ? 1U : 0U;
        outcome.n_rows += tensor.n_rows;
        outcome.n_rows_plain += tensor.errors.n_plain;
        ratios += tensor.errors.kept / tensor.errors.plain;
    }
    if (outcome.n_tensors > 0) outcome.error_ratio = ratios / static_cast<double>(outcome.n_tensors);
    outcome.n_tensors_unknown = tensors_unknown_.size();
    return outcome;
}

Result<void> Writing::check_finite(const ConvertUnit& unit, std::span<const std::byte> rows) const {
    if (plan_.allow_nan) return {};
    const files::NamedTensor& tensor = *plan_.tensors[unit.tensor].source;
    const auto found = first_non_finite(tensor.dtype, rows);
    if (!found) return {};
    return not_finite(source_, tensor, unit.first_row * tensor.shape.back() + *found);
}

// A finite number can be too large for float16, as which most formats have their scales.
Result<void> Writing::check_fits(const ConvertUnit& unit, float largest, std::span<const std::byte> written) const {
    constexpr float kFitsAnyFormat = 32768.0F;  // decoding what was written costs more than this comparison
    if (plan_.allow_nan || largest <= kFitsAnyFormat) return {};
    const PlannedTensor& planned = plan_.tensors[unit.tensor];
    const auto found = first_non_finite(planned.dtype, written);
    if (!found) return {};
    return bad_input("{}: tensor {}: element {}: expected a number that {} can hold, found a larger one; BF16 and F32 hold it",
                     source_.name(), planned.source->name, unit.first_row * planned.source->shape.back() + *found,
                     tensor::format_of(planned.dtype).name);
}

float Writing::encode(std::size_t index, std::span<const std::byte> rows, std::span<std::byte> to) {
    const ConvertUnit& unit = units_[index];
    const PlannedTensor& planned = plan_.tensors[unit.tensor];
    const DType from = planned.source->dtype;
    if (plan_.encoding == Encoding::kRounded) return convert_rows(from, rows, planned.dtype, to);
    const std::size_t n_cols = planned.source->shape.back();
    // Stacked matrices have importances of their own.
    const std::size_t n_matrices = planned.importance.size() / std::max<std::size_t>(1, n_cols);
    const std::uint64_t rows_per_matrix = planned.source->n_rows() / std::max<std::size_t>(1, n_matrices);
    const auto importance_of = [&](std::uint64_t row) {
        return planned.importance.empty() ? std::span<const float>()
                                          : std::span(planned.importance).subspan(row / rows_per_matrix * n_cols, n_cols);
    };
    if (is_refined(plan_, planned)) {
        const backend::FeedbackFactor* const factor = feedback_ != nullptr ? feedback_->factor(planned.source->name, unit.matrix) : nullptr;
        if (factor != nullptr) {
            const RefinedRows refined = refine_rows(from, rows, planned.dtype, to, n_cols, importance_of(unit.first_row), *factor);
            errors_[index] = refined.errors;
            return refined.largest;
        }
        const std::lock_guard lock(mutex_);
        tensors_unknown_.insert(unit.tensor);
    }
    float largest = 0.0F;
    for (std::uint64_t row = 0; row < unit.n_rows;) {
        const std::uint64_t end_of_matrix = ((unit.first_row + row) / rows_per_matrix + 1) * rows_per_matrix;
        const std::uint64_t n = std::min(unit.n_rows - row, end_of_matrix - (unit.first_row + row));
        const std::size_t from_bytes = planned.source->row_bytes();
        const std::size_t to_bytes = written_row_bytes(planned);
        largest = std::max(largest, quantize_rows(from, rows.subspan(row * from_bytes, n * from_bytes), planned.dtype,
                                                  to.subspan(row * to_bytes, n * to_bytes), n_cols, importance_of(unit.first_row + row)));
        row += n;
    }
    return largest;
}

Result<void> Writing::write(std::size_t index, std::span<std::byte> memory) {
    if (is_done_[index] != 0) return {};
    const ConvertUnit& unit = units_[index];
    const PlannedTensor& planned = plan_.tensors[unit.tensor];
    if (unit.first_row == 0) source_.will_need(*planned.source);
    std::span<const std::byte> rows = source_.rows(*planned.source, unit.first_row, unit.n_rows, memory.first(read_bytes_));
    RAFTER_TRY_VOID(check_finite(unit, rows));
    if (planned.dtype != planned.source->dtype) {
        const std::span<std::byte> converted = memory.subspan(read_bytes_, bytes_of(unit));
        const float largest = encode(index, rows, converted);
        RAFTER_TRY_VOID(check_fits(unit, largest, converted));
        rows = converted;
    }
    RAFTER_TRY_VOID(files_[planned.part].write_at(offset_of(unit), rows));
    RAFTER_TRY_VOID(journal_.note(index, xxh3(rows)));
    source_.release(*planned.source, unit.first_row, unit.n_rows);
    n_done_bytes_ += rows.size();
    done_cost_ += cost_of(plan_, unit, feedback_ != nullptr);
    return {};
}

// Known before hours of work, where the file system says it.
Result<void> check_free_space(const ConversionPlan& plan, const std::vector<PartialFile>& files) {
    std::uint64_t allocated = 0;
    for (const PartialFile& file : files) {
        RAFTER_TRY(const std::uint64_t bytes, file.allocated_bytes());
        allocated += bytes;
    }
    const std::uint64_t needed = plan.size_bytes - std::min(allocated, plan.size_bytes);
    std::error_code failed;
    const fs::space_info space = fs::space(plan.out.parent_path(), failed);
    if (failed || space.available >= needed) return {};
    return Error{fmt::format("{}: expected {} bytes of free disk space, found {}", plan.out.string(), needed, space.available),
                 ErrorKind::kIo};
}

Result<void> check_replaces_nothing(const ConversionPlan& plan) {
    if (plan.replace) return {};
    for (const PlannedPart& part : plan.parts) {
        std::error_code failed;
        if (!fs::exists(part.path, failed)) continue;
        return bad_input("{}: expected no such file, found one; --force replaces it", part.path.string());
    }
    return {};
}

Result<std::vector<PartialFile>> open_partial_files(const ConversionPlan& plan, const ConvertJournal& journal) {
    std::vector<PartialFile> files;
    for (const PlannedPart& part : plan.parts) {
        RAFTER_TRY(PartialFile file, PartialFile::open(partial_path(part.path)));
        if (journal.noted().empty()) RAFTER_TRY_VOID(file.resize(0));
        files.push_back(std::move(file));
    }
    return files;
}

void remove_partial_files(const ConversionPlan& plan) {
    std::error_code ignored;
    for (const PlannedPart& part : plan.parts) fs::remove(partial_path(part.path), ignored);
}

// All is on the disk when the first file gets its name, and a run that is killed between two names has only to go on naming.
Result<void> name_files(const ConversionPlan& plan, ConvertJournal& journal) {
    for (const PlannedPart& part : plan.parts) {
        std::error_code failed;
        const fs::path partial = partial_path(part.path);
        if (fs::exists(partial, failed)) RAFTER_TRY_VOID(rename_durably(partial, part.path));
    }
    journal.remove();
    return {};
}

Result<void> finish(const ConversionPlan& plan, std::vector<PartialFile>& files, ConvertJournal& journal) {
    for (std::size_t i = 0; i < files.size(); ++i) {
        RAFTER_TRY_VOID(files[i].write_at(0, plan.parts[i].header));
        RAFTER_TRY_VOID(files[i].resize(plan.parts[i].size_bytes));
        RAFTER_TRY_VOID(files[i].sync());
    }
    RAFTER_TRY_VOID(journal.note_complete());
    return name_files(plan, journal);
}

ConvertJournal::Description description_of(const ConversionPlan& plan) {
    ConvertJournal::Description description{.identity = plan.identity, .partial_names = {}};
    for (const PlannedPart& part : plan.parts) description.partial_names.push_back(partial_path(part.path).filename().string());
    return description;
}

struct Written {
    std::uint64_t reused_bytes = 0;
    bool complete = false;
    RefineOutcome refined;
};

Result<Written> write_files(const ConversionPlan& plan, const files::TensorSource& source, ThreadPool& pool, const ConvertHooks& hooks,
                            ConvertJournal& journal) {
    RAFTER_TRY(std::vector<PartialFile> files, open_partial_files(plan, journal));
    RAFTER_TRY_VOID(check_free_space(plan, files));
    Writing writing(plan, source, journal, files);
    RAFTER_TRY(const PageBuffer memory,
               PageBuffer::allocate(std::max<std::size_t>(1, pool.n_threads() * writing.bytes_per_thread()), "rows that are converted"));
    const std::span<std::byte> bytes(memory.data(), memory.size_bytes());
    Written written{.reused_bytes = writing.find_written(pool, bytes), .complete = false, .refined = {}};
    RAFTER_TRY(written.complete, writing.write_rest(pool, bytes, hooks));
    written.refined = writing.outcome();
    if (written.complete) RAFTER_TRY_VOID(finish(plan, files, journal));
    return written;
}

}  // namespace

Result<void> check_place(const ConversionPlan& plan) {
    std::error_code failed;
    if (!fs::exists(journal_path(plan.out), failed)) RAFTER_TRY_VOID(check_replaces_nothing(plan));
    RAFTER_TRY(const AtomicFile probe, AtomicFile::create(plan.out));  // removed again: nothing is committed
    return {};
}

Result<Conversion> run_conversion(const ConversionPlan& plan, const files::TensorSource& source, ThreadPool& pool,
                                  const ConvertHooks& hooks) {
    RAFTER_CHECK(plan.refine.has_value() == (hooks.feedback != nullptr), "feedback without a plan for it, or the other way round");
    const std::int64_t begin_ns = monotonic_ns();
    Conversion conversion{.size_bytes = plan.size_bytes};
    std::error_code failed;
    const bool is_continued = fs::exists(journal_path(plan.out), failed);
    if (!is_continued) RAFTER_TRY_VOID(check_replaces_nothing(plan));
    RAFTER_TRY(ConvertJournal journal, ConvertJournal::open(plan.out, description_of(plan)));
    if (journal.was_other() && hooks.note) {
        hooks.note("an unfinished conversion of another source or with other options was there; starting over");
    }
    if (journal.is_complete()) {
        RAFTER_TRY_VOID(name_files(plan, journal));
        conversion.reused_bytes = plan.size_bytes;
        conversion.complete = true;
        return conversion;
    }
    if (is_continued) RAFTER_TRY_VOID(check_replaces_nothing(plan));
    const auto written = write_files(plan, source, pool, hooks, journal);
    if (!written) {
        if (written.error().kind == ErrorKind::kIo && journal.has_notes()) {
            const fs::space_info space = fs::space(plan.out.parent_path(), failed);
            return Error{fmt::format("{}; {} bytes in all are needed, {} are free; the same command continues from what is written",
                                     written.error().message, plan.size_bytes, failed ? 0 : space.available),
                         ErrorKind::kIo};
        }
        remove_partial_files(plan);
        journal.remove();
        return written.error();
    }
    conversion.reused_bytes = written->reused_bytes;
    conversion.complete = written->complete;
    conversion.refined = written->refined;
    conversion.seconds = static_cast<double>(monotonic_ns() - begin_ns) / 1e9;
    return conversion;
}

}  // namespace rafter::engine
