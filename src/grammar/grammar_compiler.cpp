// A supervisor thread starts a thread for each grammar, a few at a time, and refuses those that take too long. What a thread works on is
// shared, so that one which never ends keeps its own memory and nothing else.
#include "grammar/grammar_compiler.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/current_error.h"
#include "grammar/grammar_mask.h"

namespace rafter::grammar {
namespace {

using Clock = std::chrono::steady_clock;
using engine::PendingMask;

constexpr std::size_t kMaxWaiting = 1000;
constexpr int kCompilerThreads = 2;  // of each grammar

struct Key {
    GrammarKind kind;
    std::string text;
    bool operator<(const Key& other) const { return std::tie(kind, text) < std::tie(other.kind, other.text); }
};

}  // namespace

struct GrammarCompiler::State : std::enable_shared_from_this<State> {
    // One grammar, from its first request on.
    struct Entry {
        Key key;
        std::shared_ptr<PendingMask> mask = std::make_shared<PendingMask>();
        std::size_t size_bytes = 0;
        bool compiled = false;
    };
    struct Running {
        std::shared_ptr<PendingMask> mask;
        Clock::time_point deadline;
        bool late = false;
    };

    State(const text::Tokenizer& t, const CompilerLimits& l) : tokenizer(t), limits(l) {}

    const text::Tokenizer& tokenizer;
    const CompilerLimits limits;
    std::mutex mutex;  // for what follows
    std::condition_variable changed;
    std::list<Entry> entries;  // the most recently used first
    std::map<Key, std::list<Entry>::iterator> by_key;
    std::size_t kept_bytes = 0;
    std::deque<std::pair<Key, std::shared_ptr<PendingMask>>> waiting;
    std::list<Running> running;
    // For the vocabulary, once the first grammar has come; then never changed. It remembers rules that grammars share.
    std::optional<xgrammar::GrammarCompiler> compiler;
    bool sorting = false;
    bool stopping = false;
    bool supervised = false;
    std::thread supervisor;

    // With the lock held, as all of these.
    std::size_t n_on_time() const {
        std::size_t n = 0;
        for (const Running& one : running) n += one.late ? 0 : 1;
        return n;
    }
    void forget(std::list<Entry>::iterator entry) {
        kept_bytes -= entry->size_bytes;
        by_key.erase(entry->key);
        entries.erase(entry);
    }
    void shrink() {
        for (auto entry = entries.end();
             entry != entries.begin() && (entries.size() > limits.max_kept || kept_bytes > limits.max_kept_bytes);) {
            --entry;
            if (!entry->compiled || entry == entries.begin()) continue;
            const auto next = std::next(entry);
            forget(entry);
            entry = next;
        }
    }
    void decided(const Key& key, const std::shared_ptr<PendingMask>& mask, std::optional<std::size_t> size_bytes) {
        const auto found = by_key.find(key);
        if (found == by_key.end() || found->second->mask != mask) return;
        if (!size_bytes) {  // a failure is not remembered: its reason may pass
            forget(found->second);
            return;
        }
        found->second->compiled = true;
        found->second->size_bytes = *size_bytes;
        kept_bytes += *size_bytes;
        shrink();
    }

    void supervise();
    void start();
    static void compile(const std::shared_ptr<State>& state, std::list<Running>::iterator self, const Key& key);
};

// In a thread of its own.
void GrammarCompiler::State::compile(const std::shared_ptr<State>& state, std::list<Running>::iterator self, const Key& key) {
    const std::shared_ptr<PendingMask> mask = self->mask;
    Result<CompiledGrammarMask> made = Error{"out of memory for the grammar", ErrorKind::kOutOfMemory};
    try {
        std::optional<xgrammar::GrammarCompiler> compiler;
        {
            std::unique_lock lock(state->mutex);
            state->changed.wait(lock, [&] { return !state->sorting; });
            if (!state->compiler && state->stopping) throw std::runtime_error("stopped before the grammar was compiled");
            if (!state->compiler) state->sorting = true;
            compiler = state->compiler;
        }
        if (!compiler) {
            try {
                compiler.emplace(vocabulary_of(state->tokenizer), kCompilerThreads, true,
                                 static_cast<std::int64_t>(state->limits.max_kept_bytes));
            } catch (...) {
                const std::lock_guard lock(state->mutex);
                state->sorting = false;
                state->changed.notify_all();
                throw;
            }
            const std::lock_guard lock(state->mutex);
            state->compiler = compiler;
            state->sorting = false;
            state->changed.notify_all();
        }
        made = compile_mask(*compiler, {key.kind, key.text});
    } catch (...) {
        made = engine::current_error();
    }
    if (made) {
        mask->set_ready(made->mask);
    } else {
        mask->set_failed(made.error());
    }
    const std::lock_guard lock(state->mutex);
    try {
        state->decided(key, mask, made && !self->late ? std::optional(made->size_bytes) : std::nullopt);
    } catch (...) {  // it is not remembered
    }
    state->running.erase(self);
    state->changed.notify_all();
}

void GrammarCompiler::State::start() {
    auto [key, mask] = std::move(waiting.front());
    waiting.pop_front();
    running.push_front(
        {.mask = mask,
         .deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(limits.max_seconds))});
    try {
        std::thread([state = shared_from_this(), self = running.begin(), key = key] { compile(state, self, key); }).detach();
    } catch (...) {
        running.pop_front();
        mask->set_failed(Error{"no thread to compile the grammar", ErrorKind::kOutOfMemory});
        decided(key, mask, std::nullopt);
        changed.notify_all();
    }
}

void GrammarCompiler::State::supervise() {
    std::unique_lock lock(mutex);
    while (!stopping) {
        // A grammar that never ends does not keep others from being compiled, but as many of them as there are threads do.
        while (!waiting.empty() && n_on_time() < limits.n_threads && running.size() < 2 * limits.n_threads) start();
        std::optional<Clock::time_point> next;
        const Clock::time_point now = Clock::now();
        for (Running& one : running) {
            if (one.late) continue;
            if (one.deadline <= now) {
                one.late = true;
                one.mask->set_failed(bad_input("grammar: expected one that compiles within {:.0f} seconds", limits.max_seconds));
                for (auto entry = entries.begin(); entry != entries.end(); ++entry) {
                    if (entry->mask != one.mask) continue;
                    forget(entry);
                    break;
                }
                changed.notify_all();
                next = now;
            } else if (!next || one.deadline < *next) {
                next = one.deadline;
            }
        }
        if (!waiting.empty() && running.size() >= 2 * limits.n_threads && n_on_time() == 0) {  // all threads are lost
            for (const auto& [key, mask] : waiting) {
                mask->set_failed(Error{"the grammars before this one take too long to compile", ErrorKind::kBusy});
                decided(key, mask, std::nullopt);
            }
            waiting.clear();
            changed.notify_all();
        }
        if (next) {
            changed.wait_until(lock, *next);
        } else {
            changed.wait(lock);
        }
    }
}

Result<void> check(const Grammar& grammar) {
    RAFTER_TRY_VOID(checked_grammar(grammar));
    return {};
}

GrammarCompiler::GrammarCompiler(const text::Tokenizer& tokenizer, const CompilerLimits& limits)
    : state_(std::make_shared<State>(tokenizer, limits)) {}

GrammarCompiler::~GrammarCompiler() {
    {
        const std::lock_guard lock(state_->mutex);
        state_->stopping = true;
        for (const auto& [key, mask] : state_->waiting)
            mask->set_failed(Error{"stopped before the grammar was compiled", ErrorKind::kCancelled});
        state_->waiting.clear();
    }
    state_->changed.notify_all();
    if (state_->supervisor.joinable()) state_->supervisor.join();
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [&] { return !state_->sorting; });  // which looks at the tokenizer
    state_->changed.wait_for(lock, std::chrono::seconds(1), [&] { return state_->running.empty(); });
    for (const auto& one : state_->running) one.mask->set_failed(Error{"stopped before the grammar was compiled", ErrorKind::kCancelled});
}

Result<std::shared_ptr<PendingMask>> GrammarCompiler::compile(const Grammar& grammar) {
    RAFTER_TRY(Grammar checked, checked_grammar(grammar));
    Key key{checked.kind, std::move(checked.text)};
    State& state = *state_;
    const std::lock_guard lock(state.mutex);
    if (const auto found = state.by_key.find(key); found != state.by_key.end()) {
        state.entries.splice(state.entries.begin(), state.entries, found->second);
        return state.entries.front().mask;
    }
    if (state.waiting.size() >= kMaxWaiting) return Error{"too many grammars wait to be compiled", ErrorKind::kBusy};
    if (!state.supervised) {
        state.supervisor = std::thread([&state] { state.supervise(); });
        state.supervised = true;
    }
    state.entries.push_front({.key = key});
    const std::shared_ptr<PendingMask> mask = state.entries.front().mask;
    try {
        state.by_key.emplace(key, state.entries.begin());
        state.waiting.emplace_back(std::move(key), mask);
    } catch (...) {
        state.by_key.erase(state.entries.front().key);
        state.entries.pop_front();
        throw;
    }
    state.changed.notify_all();
    return mask;
}

Result<std::shared_ptr<const engine::CompiledMask>> GrammarCompiler::compile_now(const Grammar& grammar) {
    RAFTER_TRY(const auto pending, compile(grammar));
    State& state = *state_;
    std::unique_lock lock(state.mutex);
    state.changed.wait(lock, [&] { return pending->decided(); });
    return pending->mask();
}

}  // namespace rafter::grammar
