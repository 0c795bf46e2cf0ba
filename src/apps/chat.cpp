// Lines that begin with a slash are for the program, all others for the model.
#include "apps/chat.h"

#include <fmt/format.h>

#include "apps/chat_files.h"
#include "apps/chat_line.h"
#include "apps/chat_settings.h"
#include "apps/generate.h"
#include "apps/model_title.h"
#include "apps/output.h"
#include "apps/prompt_source.h"
#include "apps/shown_answer.h"
#include "base/os_line_editor.h"
#include "base/os_terminal.h"
#include "engine/conversation.h"
#include "engine/sampling/noise.h"
#include "engine/sampling/sampler.h"
#include "grammar/grammar_compiler.h"
#include "protocols/answer_rules.h"
#include "report/units.h"

namespace rafter::apps {
namespace {

constexpr std::string_view kQuotes = "\"\"\"";
constexpr std::string_view kContinued = "...> ";

class Chat {
  public:
    Chat(const Environment& environment, Session& session, const ChatOptions& options)
        : environment_(environment),
          options_(options),
          terminal_(stderr_terminal(environment)),
          session_(session),
          settings_(options.answer),
          prompt_(terminal_.style.color ? "\1\x1b[1m\1>\1\x1b[0m\1 " : "> "),
          conversation_(session.opened(), options.system),
          compiler_(*session.opened().tokenizer),
          editor_({.prompt = prompt_, .history_file = options.history_file}) {
        conversation_.set_variables(options.template_variables);
    }

    Result<int> run() {
        if (editor_.is_interactive() && !options_.quiet) {
            say("{}, {} tokens of context. /help lists the commands; Ctrl-D ends.", model_title(*session_.opened().source),
                report::grouped(context()));
        }
        if (options_.first_question) {
            if (editor_.is_interactive()) fmt::print(stderr, "> {}\n", *options_.first_question);
            RAFTER_TRY_VOID(answer(*options_.first_question));
        }
        while (true) {
            const LineEditor::Line line = read_question();
            if (line.outcome == LineEditor::Outcome::kInterrupted) {
                interrupt_.take();
                fmt::print(stderr, "\n");
                say("Ctrl-D or /exit ends.");
                continue;
            }
            if (line.outcome == LineEditor::Outcome::kEnd) break;
            if (line.text.find_first_not_of(" \t\n") == std::string::npos) continue;
            editor_.remember(line.text);
            const auto command = parse_command(line.text);
            if (!command) {
                RAFTER_TRY_VOID(answer(line.text));
            } else if (command->command == ChatCommand::kExit) {
                return 0;
            } else {
                RAFTER_TRY_VOID(obey(*command));
            }
        }
        if (editor_.is_interactive()) fmt::print(stderr, "\n");
        return 0;
    }

  private:
    template <typename... Args>
    void say(fmt::format_string<Args...> format, Args&&... args) {
        print_note(terminal_, fmt::format(format, std::forward<Args>(args)...));
    }

    [[nodiscard]] std::uint32_t context() const { return session_.engine().options().context; }

    // A line, or several: those that end with a backslash and the next one, or all between two """.
    LineEditor::Line read_question() {
        LineEditor::Line line = editor_.read();
        if (line.outcome != LineEditor::Outcome::kLine) return line;
        line.text = unix_lines(line.text);
        const std::size_t begin = line.text.find_first_not_of(" \t");
        const bool is_quoted = begin != std::string::npos && std::string_view(line.text).substr(begin).starts_with(kQuotes);
        if (is_quoted) line.text.erase(0, begin + kQuotes.size());
        const auto is_open = [&] { return is_quoted ? line.text.find(kQuotes) == std::string::npos : line.text.ends_with('\\'); };
        while (is_open()) {
            if (!is_quoted) line.text.pop_back();
            const LineEditor::Line more = editor_.read(kContinued);
            if (more.outcome == LineEditor::Outcome::kInterrupted) return more;
            if (more.outcome == LineEditor::Outcome::kEnd) break;
            line.text += '\n' + unix_lines(more.text);
        }
        if (is_quoted) line.text.erase(std::min(line.text.find(kQuotes), line.text.size()));
        if (is_quoted && line.text.starts_with('\n')) line.text.erase(0, 1);
        return line;
    }

    Result<void> obey(const CommandLine& line) {
        switch (line.command) {
            case ChatCommand::kReset:
                conversation_.reset();
                say("The conversation is forgotten.");
                break;
            case ChatCommand::kSystem:
                warned_ = false;
                conversation_.set_system(line.argument);
                say("{}",
                    line.argument.empty() ? "No system message; a new conversation." : "The system message is set; a new conversation.");
                break;
            case ChatCommand::kRetry:
                return retry();
            case ChatCommand::kUndo:
                say("{}", conversation_.undo() ? "The last question and its answer are forgotten." : "There is nothing to undo.");
                break;
            case ChatCommand::kSet:
                set(line.argument);
                break;
            case ChatCommand::kSave:
            case ChatCommand::kLoad:
                if (line.argument.empty()) {
                    say("{} needs a file: {} chat.json", line.name, line.name);
                } else {
                    use_file(line.command, in_home(line.argument, environment_.home_folder));
                }
                break;
            case ChatCommand::kStats:
                show_stats();
                break;
            case ChatCommand::kHelp:
                fmt::print(stderr, "{}", chat_help(terminal_width(stderr)));
                break;
            case ChatCommand::kExit:
                break;
            case ChatCommand::kUnknown: {
                const std::string nearest = nearest_command(line.name);
                say("{}: no such command{}; /help lists them", line.name,
                    nearest.empty() ? "" : fmt::format(", did you mean {}?", nearest));
                break;
            }
        }
        return {};
    }

    void set(const std::string& argument) {
        const std::size_t end = std::min(argument.find_first_of(" \t="), argument.size());
        if (argument.empty()) {
            say("{}; the defaults are those of {}", sampling_text(request().sampling), options_.defaults.source);
            return;
        }
        const std::size_t value = argument.find_first_not_of(" \t=", end);
        const auto name = settings_.set(argument.substr(0, end), value == std::string::npos ? "" : argument.substr(value));
        if (!name) return say("{}", name.error().message);
        say("{} is set: {}", *name, sampling_text(request().sampling));
    }

    void use_file(ChatCommand command, const std::filesystem::path& path) {
        if (command == ChatCommand::kSave) {
            const auto saved = save_conversation(path, model_title(*session_.opened().source), conversation_.messages());
            if (!saved) return say("{}", saved.error().message);
            return say("Saved {} to {}.", turns_text(conversation_.n_turns()), path.string());
        }
        const auto messages = read_conversation(path);
        if (!messages) return say("{}", messages.error().message);
        if (const auto loaded = conversation_.load(*messages); !loaded) return say("{}: {}", path.string(), loaded.error().message);
        warned_ = false;
        say("Loaded {} from {}{}.", turns_text(conversation_.n_turns()), path.string(),
            conversation_.system().empty() ? "" : ", with a system message");
    }

    static std::string turns_text(std::size_t n) {
        return n == 1 ? "1 question and its answer" : fmt::format("{} questions and answers", n);
    }

    void show_stats() {
        say("{}", summary_line(total_, decode_roof(environment_, session_, total_)));
        say("context {} of {} tokens used", report::grouped(n_context_used_), report::grouped(context()));
        say("{}", sampling_text(request().sampling));
    }

    // How the next answer is generated; the settings are valid.
    engine::Request request() {
        auto made = request_of(settings_.answer(), options_.defaults.sampling, options_.seed, session_.opened().config.n_context);
        engine::Request request = made ? *std::move(made) : engine::Request();
        request.sampling.seed = engine::derived_seed(request.sampling.seed, n_retries_);
        request.end_tokens = session_.opened().tokenizer->special().end_of_generation;
        return request;
    }

    // The same question with another seed.
    Result<void> retry() {
        const auto question = conversation_.undo();
        if (!question) {
            say("There is no answer yet.");
            return {};
        }
        ++n_retries_;
        if (request().sampling.temperature <= 0) say("At temperature 0 the answer stays the same: /set temperature 0.8");
        return answer(*question);
    }

    // What a person should know of the conversation's first prompt.
    void warn_of(const std::vector<engine::TokenId>& prompt) {
        if (warned_ || options_.quiet) return;
        warned_ = true;
        if (conversation_.system_moved()) say("{}", text::kSystemMoved);
        if (const auto warning = engine::prompt_warning(session_.opened(), prompt)) say("{}", *warning);
    }

    // Leaves out the oldest turns until prompt, what is answered of it and this many tokens more fit; if that is not enough, none. Gives
    // how many.
    Result<std::size_t> make_room(std::vector<engine::TokenId>& prompt, std::size_t n_answered, std::size_t n_more) {
        std::size_t n_dropped = 0;
        const auto fits = [&](std::size_t n) { return prompt.size() + n_answered + n <= context(); };
        while (options_.drops_oldest && !fits(n_more) && conversation_.drop_oldest_turn()) {
            ++n_dropped;
            RAFTER_TRY(prompt, conversation_.prompt());
        }
        if (n_dropped == 0 || fits(1)) return n_dropped;
        conversation_.restore_turns(n_dropped);
        RAFTER_TRY(prompt, conversation_.prompt());
        return 0;
    }

    void say_dropped(std::size_t n) {
        if (n > 0 && !options_.quiet) say("(the context is full: dropped the oldest {})", n == 1 ? "question and answer" : turns_text(n));
    }

    // All of an answer, over as many requests as it takes to make room for it.
    Result<Generation> generate_all_of(const engine::Request& request, std::vector<engine::TokenId> prompt, ShownAnswer& output) {
        const std::uint32_t most = request.max_tokens;
        const std::size_t reserve = std::min<std::size_t>(most, context() / 4);
        Generation all;
        while (true) {
            engine::Request next = request;
            next.prompt = prompt;
            for (const engine::GeneratedToken& token : all.tokens) next.prompt.push_back(token.id);
            const auto n_answered = static_cast<std::uint32_t>(all.tokens.size());
            next.max_tokens = most - n_answered;
            next.min_tokens = request.min_tokens - std::min(request.min_tokens, n_answered);
            const auto show = [&](std::string_view text) { return output.write(text); };
            RAFTER_TRY(Generation part, generate(session_, std::move(next), show, interrupt_));
            std::move(part.tokens.begin(), part.tokens.end(), std::back_inserter(all.tokens));
            all.text += part.text;
            all.cost += part.cost;
            n_context_used_ = part.cost.n_prompt + part.cost.n_generated;
            all.finish = std::move(part.finish);
            if (!all.finish.context_full || all.tokens.size() >= most) return all;
            RAFTER_TRY(const std::size_t n_dropped, make_room(prompt, all.tokens.size(), std::min(reserve, most - all.tokens.size())));
            if (n_dropped == 0) return all;
            n_dropped_in_answer_ += n_dropped;
        }
    }

    // Errors that end only this answer are said; a closed standard output ends the chat.
    Result<void> answer(const std::string& text) {
        engine::Request request = this->request();
        if (const auto valid = engine::validate(request.sampling, session_.opened().config.n_vocab); !valid) {
            say("{}", valid.error().message);
            return {};
        }
        auto prompt = conversation_.ask(text);
        if (!prompt) {
            say("{}", prompt.error().message);
            return {};
        }
        auto terms = protocols::set_answer_terms(request, "", {.tools = protocols::ToolRequest(), .form = options_.form}, session_.opened(),
                                                 {.format = options_.format, .grammars = &compiler_, .waits_for_grammars = true}, *prompt);
        if (!terms) {
            conversation_.retract();
            say("{}", terms.error().message);
            return {};
        }
        request.shown_tokens.clear();  // a mark that is a control token is no part of the conversation's text
        const auto n_dropped = make_room(*prompt, 0, std::min<std::size_t>(request.max_tokens, context() / 4));
        if (n_dropped) say_dropped(*n_dropped);
        warn_of(*prompt);
        interrupt_.take();
        n_dropped_in_answer_ = 0;
        ShownAnswer output(environment_, terms->rules);
        const auto generation = n_dropped ? generate_all_of(request, *std::move(prompt), output) : Result<Generation>(n_dropped.error());
        interrupt_.take();
        RAFTER_TRY_VOID(output.end());
        if (!generation) {
            conversation_.retract();
            const ErrorKind kind = generation.error().kind;
            if (kind == ErrorKind::kCancelled || kind == ErrorKind::kIo) return generation.error();
            say("{} (/reset starts a new conversation)", generation.error().message);
            return {};
        }
        std::vector<engine::TokenId> tokens;
        for (const engine::GeneratedToken& token : generation->tokens) tokens.push_back(token.id);
        conversation_.answered(tokens, generation->text);
        total_ += generation->cost;
        say_dropped(n_dropped_in_answer_);
        say_how_it_ended(*generation);
        return {};
    }

    void say_how_it_ended(const Generation& generation) {
        if (generation.finish.reason == engine::FinishReason::kCancelled) return say("(stopped)");
        if (generation.finish.context_full) {
            const std::uint32_t most = session_.opened().config.n_context;
            const bool can_grow = context() < most;
            say("(the context is full: /reset starts a new conversation{})",
                can_grow ? fmt::format(", --context takes more, up to the model's {}", report::grouped(most)) : "");
        } else if (generation.text.empty() && !options_.quiet) {
            say("(the answer is empty)");
        }
    }

    const Environment& environment_;
    const ChatOptions& options_;
    report::Terminal terminal_;
    Session& session_;
    ChatSettings settings_;
    std::string prompt_;
    engine::Conversation conversation_;
    grammar::GrammarCompiler compiler_;
    LineEditor editor_;
    InterruptFlag interrupt_;
    GenerationCost total_;
    std::size_t n_context_used_ = 0;
    std::size_t n_dropped_in_answer_ = 0;  // turns, while the last answer was written
    std::uint32_t n_retries_ = 0;
    bool warned_ = false;  // of this conversation's prompts
};

}  // namespace

Result<int> chat_in_terminal(const Environment& environment, Session& session, const ChatOptions& options) {
    return Chat(environment, session, options).run();
}

}  // namespace rafter::apps
