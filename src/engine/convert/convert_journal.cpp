// Lines of text: what the journal is and of which plan, the partial files, then a line a unit. A last line without its end was being
// written when the program was killed, and is cut off.
#include "engine/convert/convert_journal.h"

#include <charconv>
#include <optional>
#include <string_view>

#include "base/os_file.h"

namespace rafter::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPartialSuffix = ".partial";
constexpr std::string_view kTitle = "rafter convert 1 ";  // the number changes with what a unit is
constexpr std::string_view kFile = "file ";
constexpr std::string_view kUnit = "unit ";
constexpr std::string_view kComplete = "complete";

template <typename Number>
std::optional<Number> number(std::string_view text, int base) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

std::string title_of(std::uint64_t identity) { return fmt::format("{}{:016x}", kTitle, identity); }

struct Journal {
    std::size_t n_bytes = 0;  // of its whole lines
    std::string title;
    std::vector<std::string> partial_names;
    std::map<std::size_t, std::uint64_t> noted;
    bool is_complete = false;
};

void read_line(Journal& journal, std::string_view line) {
    if (journal.title.empty()) {
        journal.title = line;
    } else if (line.starts_with(kFile)) {
        journal.partial_names.emplace_back(line.substr(kFile.size()));
    } else if (line == kComplete) {
        journal.is_complete = true;
    } else if (line.starts_with(kUnit)) {
        line.remove_prefix(kUnit.size());
        const std::size_t space = line.find(' ');
        if (space == std::string_view::npos) return;
        const auto unit = number<std::size_t>(line.substr(0, space), 10);
        const auto hash = number<std::uint64_t>(line.substr(space + 1), 16);
        if (unit && hash) journal.noted[*unit] = *hash;
    }
}

Journal parse(std::string_view text) {
    Journal journal;
    while (true) {
        const std::size_t end = text.find('\n', journal.n_bytes);
        if (end == std::string_view::npos) return journal;
        read_line(journal, text.substr(journal.n_bytes, end - journal.n_bytes));
        journal.n_bytes = end + 1;
    }
}

// Only what a journal can have named: the file may be anybody's.
void remove_partial_files(const fs::path& folder, const Journal& journal) {
    if (!journal.title.starts_with(kTitle)) return;
    for (const std::string& name : journal.partial_names) {
        const fs::path path(name);
        std::error_code ignored;
        if (path.filename() == path && name.ends_with(kPartialSuffix)) fs::remove(folder / path, ignored);
    }
}

}  // namespace

fs::path partial_path(const fs::path& part) { return part.string() + std::string(kPartialSuffix); }
fs::path journal_path(const fs::path& out) { return partial_path(out).string() + "-journal"; }

ConvertJournal::ConvertJournal(AppendFile file, fs::path path)
    : file_(std::move(file)), path_(std::move(path)), mutex_(std::make_unique<std::mutex>()) {}

Result<ConvertJournal> ConvertJournal::open(const fs::path& out, const Description& description) {
    const fs::path path = journal_path(out);
    RAFTER_TRY(AppendFile file, AppendFile::open(path));
    if (!file.is_regular()) return bad_input("{}: expected a regular file, found something else", path.string());
    ConvertJournal journal(std::move(file), path);
    RAFTER_TRY(const std::string text, read_file(path));
    Journal found = parse(text);
    if (found.title != title_of(description.identity)) {
        if (!text.empty() && !found.title.empty() && !found.title.starts_with(kTitle)) {
            return bad_input("{}: expected the journal of a conversion, found another file", path.string());
        }
        journal.was_other_ = !found.title.empty();
        remove_partial_files(out.parent_path(), found);
        RAFTER_TRY_VOID(journal.begin(description));
        return journal;
    }
    if (found.n_bytes < journal.file_.size_bytes()) RAFTER_TRY_VOID(journal.file_.cut(found.n_bytes));
    journal.has_notes_ = !found.noted.empty();
    journal.noted_ = std::move(found.noted);
    journal.is_complete_ = found.is_complete;
    return journal;
}

Result<void> ConvertJournal::begin(const Description& description) {
    RAFTER_TRY_VOID(file_.cut(0));
    std::string text = title_of(description.identity) + "\n";
    for (const std::string& name : description.partial_names) text += fmt::format("{}{}\n", kFile, name);
    return file_.append(text);
}

Result<void> ConvertJournal::note(std::size_t unit, std::uint64_t hash) {
    const std::string line = fmt::format("{}{} {:016x}\n", kUnit, unit, hash);
    const std::lock_guard lock(*mutex_);
    has_notes_ = true;
    return file_.append(line);
}

Result<void> ConvertJournal::note_complete() {
    RAFTER_TRY_VOID(file_.append(fmt::format("{}\n", kComplete)));
    return file_.sync();
}

void ConvertJournal::remove() {
    std::error_code ignored;
    fs::remove(path_, ignored);
}

}  // namespace rafter::engine
