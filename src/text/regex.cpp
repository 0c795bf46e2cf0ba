// PCRE2 with JIT. What the JIT cannot do in its stack is done again with a larger one, and after that by the interpreter, which
// takes its memory from the heap: a long subject costs time, never a wrong answer.
#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <cstdint>
#include <limits>
#include <string>

namespace rafter::text {
namespace {

constexpr std::size_t kJitStackStart = 64 << 10;
constexpr std::uint32_t kMaxLimitedHeapKib = 256 << 10;
constexpr std::size_t kJitStackLimit = 64 << 20;  // reserved address space; memory is taken as it is used

// Unicode's White_Space property (PropList.txt), as the inside of a character class.
constexpr std::string_view kWhiteSpace = R"(\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";

// Writes \s and \S out.
std::string spell_out_white_space(std::string_view pattern) {
    std::string out;
    bool in_class = false;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (pattern[i] == '\\' && i + 1 < pattern.size()) {
            const char escaped = pattern[++i];
            if (escaped == 's') {
                out += in_class ? std::string(kWhiteSpace) : "[" + std::string(kWhiteSpace) + "]";
            } else if (escaped == 'S') {
                // In a class PCRE2's own \S, and U+180E, which it takes for white space.
                out += in_class ? std::string(R"(\S\x{180E})") : "[^" + std::string(kWhiteSpace) + "]";
            } else {
                out += '\\';
                out += escaped;
            }
            continue;
        }
        if (pattern[i] == '[') in_class = true;
        if (pattern[i] == ']') in_class = false;
        out += pattern[i];
    }
    return out;
}

}  // namespace

Regex::Scratch::Scratch() : context_(pcre2_match_context_create(nullptr)), data_(pcre2_match_data_create(1, nullptr)) {
    pcre2_set_match_limit(context_.get(), std::numeric_limits<std::uint32_t>::max());
    pcre2_set_depth_limit(context_.get(), std::numeric_limits<std::uint32_t>::max());
    pcre2_set_heap_limit(context_.get(), std::numeric_limits<std::uint32_t>::max());
}

Regex::Scratch::Scratch(std::uint32_t max_steps) : Scratch() {
    is_limited_ = true;
    pcre2_set_match_limit(context_.get(), max_steps);
    pcre2_set_heap_limit(context_.get(), kMaxLimitedHeapKib);
}

void Regex::Scratch::Free::operator()(pcre2_real_match_context_8* p) const { pcre2_match_context_free(p); }
void Regex::Scratch::Free::operator()(pcre2_real_match_data_8* p) const { pcre2_match_data_free(p); }
void Regex::Scratch::Free::operator()(pcre2_real_jit_stack_8* p) const { pcre2_jit_stack_free(p); }
void Regex::Free::operator()(pcre2_real_code_8* p) const { pcre2_code_free(p); }

Result<Regex> Regex::compile(std::string_view pattern) {
    const std::string spelled = spell_out_white_space(pattern);
    const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(pcre2_compile_context_create(nullptr),
                                                                                                &pcre2_compile_context_free);
    // Otherwise a search may step over \r\n as over one character, depending on how the library was built.
    pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
    int error = 0;
    std::size_t where = 0;
    pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(spelled.data()), spelled.size(),
                                     PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY, &error, &where, context.get());
    if (code == nullptr) {
        std::array<PCRE2_UCHAR, 256> words{};
        pcre2_get_error_message(error, words.data(), words.size());
        return bad_input("regular expression '{}': {} at character {}", spelled, reinterpret_cast<const char*>(words.data()), where);
    }
    // Where the machine forbids making code, the interpreter does the work.
    (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    return Regex(code);
}

std::optional<Regex::Match> Regex::find(std::string_view subject, std::size_t start, Scratch& scratch) const {
    if (scratch.exceeded_) return std::nullopt;
    const auto* bytes = reinterpret_cast<PCRE2_SPTR>(subject.data());
    const auto search = [&](std::uint32_t options) {
        return pcre2_match(code_.get(), bytes, subject.size(), start, options | PCRE2_NO_UTF_CHECK, scratch.data_.get(),
                           scratch.context_.get());
    };
    int found = search(0);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT && scratch.jit_stack_ == nullptr) {
        scratch.jit_stack_.reset(pcre2_jit_stack_create(kJitStackStart, kJitStackLimit, nullptr));
        pcre2_jit_stack_assign(scratch.context_.get(), nullptr, scratch.jit_stack_.get());
        found = search(0);
    }
    if (found == PCRE2_ERROR_JIT_STACKLIMIT || (found == PCRE2_ERROR_MATCHLIMIT && !scratch.is_limited_)) found = search(PCRE2_NO_JIT);
    if (found == PCRE2_ERROR_NOMATCH) return std::nullopt;
    if (scratch.is_limited_ && (found == PCRE2_ERROR_MATCHLIMIT || found == PCRE2_ERROR_HEAPLIMIT || found == PCRE2_ERROR_DEPTHLIMIT)) {
        scratch.exceeded_ = true;
        return std::nullopt;
    }
    RAFTER_CHECK(found >= 0, "regular expression search: PCRE2 error {}", found);
    const std::size_t* bounds = pcre2_get_ovector_pointer(scratch.data_.get());
    return Match{bounds[0], bounds[1]};
}

}  // namespace rafter::text
