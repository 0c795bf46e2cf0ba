// XGrammar is built to hand its messages to these two functions (scripts/build_xgrammar) instead of writing to standard error.
#include "grammar/xgrammar_messages.h"

#include <new>
#include <stdexcept>
#include <utility>

namespace rafter::grammar {
namespace {

// XGrammar's messages come without a context: who listens is known by thread.
thread_local WarningCollector* listener = nullptr;

}  // namespace

WarningCollector::WarningCollector() { listener = this; }
WarningCollector::~WarningCollector() { listener = nullptr; }
void WarningCollector::add(const std::string& warning) noexcept {
    if (std::exchange(any_, true)) return;
    try {
        first_ = warning;
    } catch (const std::bad_alloc&) {  // it counts all the same
    }
}

void note_warning(const std::string& message) noexcept {
    if (listener != nullptr) listener->add(message);
}

}  // namespace rafter::grammar

namespace xgrammar {

[[noreturn]] void LogFatalImpl(const std::string& file, int line, const std::string& message);
void LogMessageImpl(const std::string& file, int line, int level, const std::string& message);

void LogFatalImpl(const std::string& /*file*/, int /*line*/, const std::string& message) { throw std::runtime_error(message); }

void LogMessageImpl(const std::string& /*file*/, int /*line*/, int level, const std::string& message) {
    constexpr int kWarning = 2;  // XGRAMMAR_LOG_LEVEL_WARNING
    if (level >= kWarning) rafter::grammar::note_warning(message);
}

}  // namespace xgrammar
