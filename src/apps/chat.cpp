// Lines that begin with a slash are for the program, all others for the model.
#include "apps/chat.h"

#include <fmt/format.h>

#include "apps/generate.h"
#include "apps/output.h"
#include "base/os_line_editor.h"
#include "engine/conversation.h"
#include "report/units.h"

namespace rafter::apps {
namespace {

constexpr std::string_view kHelp =
    "  /reset        forget the conversation\n"
    "  /system TEXT  set the system message and start anew; without TEXT, none\n"
    "  /stats        tokens, speed and bandwidth so far\n"
    "  /help         this list\n"
    "  /exit         end (so does Ctrl-D)\n"
    "  Ctrl-C stops an answer. A line that ends with \\ goes on in the next.\n";

class Chat {
  public:
    Chat(const Environment& environment, Session& session, const std::string& system, const engine::Request& base)
        : environment_(environment),
          terminal_(stderr_terminal(environment)),
          session_(session),
          base_(base),
          conversation_(session.opened(), system),
          editor_(terminal_.style.color ? "\1\x1b[1m\1>\1\x1b[0m\1 " : "> ") {}

    Result<int> run() {
        if (editor_.is_interactive()) {
            say("{}, context {} tokens. /help lists what else can be typed; Ctrl-D ends.", session_.opened().config.name,
                report::grouped(session_.engine().options().context));
        }
        while (true) {
            const LineEditor::Line line = read_question();
            if (line.outcome == LineEditor::Outcome::kInterrupted) {
                interrupt_.take();
                fmt::print(stderr, "\n");
                say("Ctrl-D or /exit ends.");
                continue;
            }
            if (line.outcome == LineEditor::Outcome::kEnd || line.text == "/exit") break;
            if (line.text.find_first_not_of(" \t") == std::string::npos) continue;
            if (line.text.starts_with('/')) {
                obey(line.text);
            } else {
                RAFTER_TRY_VOID(answer(line.text));
            }
        }
        if (editor_.is_interactive()) fmt::print(stderr, "\n");
        return 0;
    }

  private:
    template <typename... Args>
    void say(fmt::format_string<Args...> format, Args&&... args) {
        fmt::print(stderr, "{}\n", terminal_.style.dim(fmt::format(format, std::forward<Args>(args)...)));
    }

    LineEditor::Line read_question() {
        LineEditor::Line line = editor_.read();
        while (line.outcome == LineEditor::Outcome::kLine && line.text.ends_with('\\')) {
            line.text.back() = '\n';
            const LineEditor::Line more = editor_.read();
            if (more.outcome != LineEditor::Outcome::kLine) return more;
            line.text += more.text;
        }
        return line;
    }

    void obey(const std::string& line) {
        const std::string command = line.substr(0, line.find(' '));
        const std::size_t start = line.find_first_not_of(' ', command.size());
        if (command == "/reset") {
            conversation_.reset();
            say("The conversation is forgotten.");
        } else if (command == "/system") {
            warned_ = false;
            conversation_.set_system(start == std::string::npos ? "" : line.substr(start));
            say("{}",
                start == std::string::npos ? "No system message; a new conversation." : "The system message is set; a new conversation.");
        } else if (command == "/stats") {
            say("{}", summary_line(total_, decode_roof(environment_, session_, total_)));
            const std::size_t context = session_.engine().options().context;
            say("context {} of {} tokens used", report::grouped(n_context_used_), report::grouped(context));
        } else if (command == "/help") {
            fmt::print(stderr, "{}", kHelp);
        } else {
            say("{}: no such command; /help lists them", command);
        }
    }

    // What a person should know of the conversation's first prompt.
    void warn_of(const std::vector<engine::TokenId>& prompt) {
        if (warned_) return;
        warned_ = true;
        if (conversation_.system_moved()) say("{}", text::kSystemMoved);
        if (const auto warning = engine::prompt_warning(session_.opened(), prompt)) say("{}", *warning);
    }

    // Errors that end only this answer are said; a closed standard output ends the chat.
    Result<void> answer(const std::string& text) {
        auto prompt = conversation_.ask(text);
        if (!prompt) {
            say("{}", prompt.error().message);
            return {};
        }
        engine::Request request = base_;
        request.prompt = *std::move(prompt);
        warn_of(request.prompt);
        interrupt_.take();
        const auto generation = generate(session_, std::move(request), write_stdout, interrupt_);
        interrupt_.take();
        if (!generation) {
            conversation_.retract();
            const ErrorKind kind = generation.error().kind;
            if (kind == ErrorKind::kCancelled || kind == ErrorKind::kIo) return generation.error();
            say("{} (/reset starts anew)", generation.error().message);
            return {};
        }
        std::vector<engine::TokenId> tokens;
        for (const engine::GeneratedToken& token : generation->tokens) tokens.push_back(token.id);
        conversation_.answered(tokens, generation->text);
        total_ += generation->cost;
        n_context_used_ = generation->cost.n_prompt + generation->cost.n_generated;
        RAFTER_TRY_VOID(write_stdout("\n"));
        if (generation->finish.reason == engine::FinishReason::kCancelled) say("(stopped)");
        if (generation->finish.context_full) say("(the context is full: /reset starts anew, --context takes more)");
        return {};
    }

    const Environment& environment_;
    report::Terminal terminal_;
    Session& session_;
    const engine::Request& base_;
    engine::Conversation conversation_;
    LineEditor editor_;
    InterruptFlag interrupt_;
    GenerationCost total_;
    std::size_t n_context_used_ = 0;
    bool warned_ = false;  // of this conversation's prompts
};

}  // namespace

Result<int> chat_in_terminal(const Environment& environment, Session& session, const std::string& system, const engine::Request& base) {
    return Chat(environment, session, system, base).run();
}

}  // namespace rafter::apps
