// A byte costs one step of each shape that may still be; a shape ends at its first byte that does not fit.
#include "protocols/answers/call_matcher.h"

#include <algorithm>

namespace rafter::protocols {
namespace {

using PartKind = ShapePart::Kind;

constexpr std::size_t kMaxName = 128;
constexpr std::size_t kMaxTag = 256;
// A longer one is text: what is held back is bounded.
constexpr std::size_t kMaxCallBytes = 4U << 20U;

bool is_space_byte(char byte) { return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r'; }
bool is_name_byte(char byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') || byte == '_' || byte == '-' ||
           byte == '.';
}

}  // namespace

bool CallMatcher::may_begin(char byte, bool bare) const {
    return std::ranges::any_of(notation_->shapes, [&](const CallShape& shape) {
        const ShapePart& first = shape.parts.front();
        if (first.kind == PartKind::kText) return first.text.front() == byte;
        return bare && (byte == '{' || byte == '[');
    });
}

void CallMatcher::begin(const BeginOptions& options) {
    raw_.clear();
    n_sure_ = 0;
    n_early_ = options.n_early;
    finder_.reset();
    early_ = ArgumentsFinder::Found::kNone;
    calls_.clear();
    paths_.clear();
    for (const CallShape& shape : notation_->shapes) {
        if (shape.parts.front().kind == PartKind::kText || options.bare) paths_.push_back({.parts = shape.parts});
    }
}

CallMatcher::Step CallMatcher::step_name(Path& path, char byte) {
    if (is_name_byte(byte)) return raw_.size() - path.begin < kMaxName ? Step::kMore : Step::kDead;
    path.name = raw_.substr(path.begin, raw_.size() - path.begin);
    return functions_->contains(path.name) ? Step::kNextAgain : Step::kDead;
}

CallMatcher::Step CallMatcher::step_json(Path& path, char byte) {
    const bool wants_object = path.parts[path.part].kind == PartKind::kArguments;
    if (!path.json.begun() && wants_object && byte != '{') return Step::kDead;
    switch (path.json.push(byte)) {
        case JsonScanner::Found::kMore:
            return Step::kMore;
        case JsonScanner::Found::kEnd:
            return Step::kEnd;
        case JsonScanner::Found::kError:
            break;
    }
    return Step::kDead;
}

CallMatcher::Step CallMatcher::step_parameters(Path& path, char byte) {
    constexpr std::string_view kValueEnd = "</parameter>";
    if (path.inside) {
        const std::size_t before = kValueEnd.size() - 1;
        if (byte == '>' && raw_.size() >= path.tag + before &&
            std::string_view(raw_).substr(raw_.size() - before) == kValueEnd.substr(0, before)) {
            path.inside = false;
            path.tag = 0;
        }
        return Step::kMore;
    }
    if (path.tag == 0) {
        if (is_space_byte(byte)) return Step::kMore;
        if (byte != '<') return Step::kDead;
        path.tag = raw_.size();
        return Step::kMore;
    }
    const std::string_view tag = std::string_view(raw_).substr(path.tag);
    if (byte != '>') return tag.size() < kMaxTag && byte != '<' ? Step::kMore : Step::kDead;
    if (tag == "</function") return Step::kEnd;
    if (!tag.starts_with("<parameter=")) return Step::kDead;
    path.inside = true;
    path.tag = raw_.size() + 1;
    return Step::kMore;
}

CallMatcher::Step CallMatcher::step_quoted(Path& path, char byte) {
    const std::string_view quote = path.parts[path.part].text;
    if (path.depth == 0 && byte != '{') return Step::kDead;
    const std::string_view so_far = std::string_view(raw_).substr(path.tag);
    if (byte == quote.back() && so_far.ends_with(quote.substr(0, quote.size() - 1))) {
        path.inside = !path.inside;
        path.tag = raw_.size() + 1;
        return Step::kMore;
    }
    if (path.inside) return Step::kMore;
    if (byte == '{' || byte == '[') ++path.depth;
    if (byte == '}' || byte == ']') --path.depth;
    return path.depth == 0 ? Step::kEnd : Step::kMore;
}

CallMatcher::Step CallMatcher::step(Path& path, char byte) {
    const ShapePart& part = path.parts[path.part];
    switch (part.kind) {
        case PartKind::kText: {
            const std::size_t at = raw_.size() - path.begin;
            if (part.text[at] != byte) return Step::kDead;
            return at + 1 == part.text.size() ? Step::kNext : Step::kMore;
        }
        case PartKind::kSpace:
            return is_space_byte(byte) ? Step::kMore : Step::kNextAgain;
        case PartKind::kName:
            return step_name(path, byte);
        case PartKind::kId:
            if (is_name_byte(byte)) return raw_.size() - path.begin < kMaxName ? Step::kMore : Step::kDead;
            return Step::kNextAgain;
        case PartKind::kCalls:
        case PartKind::kArguments:
            return step_json(path, byte);
        case PartKind::kParameters:
            return step_parameters(path, byte);
        case PartKind::kQuoted:
            return step_quoted(path, byte);
    }
    return Step::kDead;
}

// raw_ does not have the byte yet.
bool CallMatcher::advance(Path& path, char byte) {
    for (;;) {
        const Step step_taken = step(path, byte);
        if (step_taken == Step::kMore) return true;
        if (step_taken == Step::kDead) return false;
        if (step_taken == Step::kEnd) {
            path.whole = true;
            return true;
        }
        ++path.part;
        path.begin = raw_.size() + (step_taken == Step::kNext ? 1 : 0);
        path.tag = 0;
        if (step_taken == Step::kNext) return true;
    }
}

// raw_ has the whole call.
bool CallMatcher::finish(const Path& path) {
    const std::string_view last = std::string_view(raw_).substr(path.begin);
    const ShapePart& part = path.parts.back();
    std::optional<std::string> arguments;
    if (part.kind == PartKind::kCalls) {
        auto calls = read_json_calls(last, {.needs_arguments = path.parts.size() == 1});
        if (!calls) return false;
        const bool known = std::ranges::all_of(*calls, [&](const WrittenCall& call) { return functions_->contains(call.name); });
        if (known) calls_ = *std::move(calls);
        return known;
    }
    if (part.kind == PartKind::kArguments) arguments = json_object_text(last);
    if (part.kind == PartKind::kQuoted) arguments = read_quoted_arguments(last, part.text);
    if (part.kind == PartKind::kParameters) {
        const std::string_view inner = last.substr(0, last.rfind("</function>"));
        arguments = read_tagged_parameters(inner, functions_->find(path.name)->second);
    }
    if (!arguments) return false;
    calls_ = {{.name = path.name, .arguments = *std::move(arguments)}};
    return true;
}

// raw_ does not have the byte yet. Only where one shape is left is it sure what the byte is.
void CallMatcher::follow_arguments(char byte) {
    early_ = ArgumentsFinder::Found::kNone;
    if (paths_.size() != 1 || (n_early_ == 0 && !finder_)) return;
    const Path& path = paths_.front();
    const PartKind kind = path.parts[path.part].kind;
    if (kind != PartKind::kCalls && kind != PartKind::kArguments) return;
    const bool is_call_list = kind == PartKind::kCalls;
    if (!finder_) {
        if (raw_.size() != path.begin) return;
        finder_.emplace(is_call_list ? ArgumentsFinder::From::kCalls : ArgumentsFinder::From::kArguments);
    }
    early_ = finder_->push(byte);
    if (early_ != ArgumentsFinder::Found::kBegin) return;
    early_name_ = is_call_list ? finder_->name() : path.name;
    if (n_early_ > 0 && functions_->contains(early_name_)) {
        --n_early_;
        return;
    }
    // Nor are those behind it told before the end.
    n_early_ = 0;
    finder_.reset();
    early_ = ArgumentsFinder::Found::kNone;
}

CallMatcher::Found CallMatcher::push(char byte) {
    // Where the last of the shapes ends, what follows its current text may begin another call.
    n_sure_ = raw_.size();
    for (const Path& path : paths_) {
        const bool in_text = path.part > 0 && path.parts[path.part].kind == PartKind::kText;
        n_sure_ = std::min(n_sure_, in_text ? path.begin : raw_.size());
    }
    std::erase_if(paths_, [&](Path& path) { return !advance(path, byte); });
    early_ = ArgumentsFinder::Found::kNone;
    if (paths_.empty() || raw_.size() >= kMaxCallBytes) return Found::kNone;
    follow_arguments(byte);
    raw_ += byte;
    const auto whole = std::ranges::find_if(paths_, &Path::whole);
    if (whole == paths_.end()) return Found::kMore;
    return finish(*whole) ? Found::kCalls : Found::kText;
}

}  // namespace rafter::protocols
