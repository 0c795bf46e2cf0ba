// The model, what it is asked and how long it may answer.
#include "apps/options/option_spec.h"
#include "engine/sampling/multiple_answers.h"
#include "protocols/answers/answer_format.h"

namespace rafter::apps {
namespace {

constexpr WholeRange kAnswers{.least = 1, .most = engine::kMaxAnswers};

std::vector<OptionSpec> model_rows() {
    return {
        {.name = "model",
         .place = "MODEL",
         .has_flag = false,
         .kind = ValueKind::kModel,
         .value = "MODEL",
         .help = "A GGUF file, a Hugging Face cache folder, or a name that `rafter models` lists; plan and simulate also take a name of "
                 "`rafter "
                 "plan --list models` and a config.json"},
        {.name = "config",
         .has_key = false,
         .kind = ValueKind::kFile,
         .value = "FILE",
         .help = "Read options from this file (TOML, or JSON if its name ends in .json); flags and RAFTER_... variables override it"},
    };
}

std::vector<OptionSpec> prompt_rows() {
    return {
        {.name = "prompt",
         .also = "-p",
         .place = "PROMPT",
         .subject = kPromptSubject,
         .kind = ValueKind::kText,
         .value = "TEXT",
         .help = "The prompt (-: standard input). Text on standard input is appended to it, or is the prompt by itself; without any "
                 "prompt, a chat starts"},
        {.name = "file",
         .also = "-f",
         .subject = kPromptSubject,
         .kind = ValueKind::kFile,
         .value = "FILE",
         .help = "Read the prompt from this file (-: standard input); it is appended to --prompt"},
        {.name = "interactive",
         .also = "-i",
         .subject = kPromptSubject,
         .help = "Chat, beginning with the prompt if there is one; if standard input is not a terminal, each of its lines is a question"},
        {.name = "chat",
         .subject = kPromptSubject,
         .excludes = "raw",
         .help = "Take the prompt as a chat message (default if the model file has a chat template)"},
        {.name = "raw",
         .subject = kPromptSubject,
         .excludes = "chat",
         .help = "Continue the prompt as plain text, without a chat template; BOS is added if the model expects it"},
        {.name = "chat-template",
         .subject = kPromptSubject,
         .kind = ValueKind::kFile,
         .value = "FILE",
         .otherwise = "the model's own",
         .help = "Use this chat template (Jinja)"},
        {.name = "system",
         .subject = kPromptSubject,
         .kind = ValueKind::kText,
         .value = "TEXT",
         .excludes = "system-file",
         .help = "The system message of a chat"},
        {.name = "system-file",
         .subject = kPromptSubject,
         .kind = ValueKind::kFile,
         .value = "FILE",
         .excludes = "system",
         .help = "Read the system message from this file"},
        {.name = "template-var",
         .subject = kPromptSubject,
         .kind = ValueKind::kText,
         .list = ListKind::kRepeated,
         .value = "NAME=VALUE",
         .help = "Set a variable of the chat template; VALUE is JSON or plain text (may be given several times)"},
        {.name = "no-thinking",
         .subject = kPromptSubject,
         .help = "Answer without reasoning first, if the chat template supports that (enable_thinking=false)"},
        {.name = "tool-parser",
         .subject = kPromptSubject,
         .kind = ValueKind::kText,
         .value = "NAME",
         .choices = protocols::tool_parser_names(),
         .default_value = "auto",
         .help = "How the model writes calls of functions; auto: as its chat template does; none: calls are text"},
        {.name = "reasoning-parser",
         .subject = kPromptSubject,
         .kind = ValueKind::kText,
         .value = "NAME",
         .choices = protocols::reasoning_parser_names(),
         .default_value = "auto",
         .help = "How the model sets its thoughts apart; auto: as its chat template does; none: thoughts are text of the answer"},
        {.name = "tool-choice",
         .subject = kPromptSubject,
         .kind = ValueKind::kText,
         .value = "CHOICE",
         .default_value = "auto",
         .needs = "tools",
         .help = "Whether the answer calls one of the --tools: auto, none, required, or the name of the function that it calls"},
        {.name = "thinking-tokens",
         .subject = kPromptSubject,
         .kind = ValueKind::kWhole,
         .value = "N",
         .otherwise = "no limit",
         .help = "End the model's thoughts after N tokens with a sentence, and continue with the answer"},
        {.name = "on-full",
         .subject = kPromptSubject,
         .kind = ValueKind::kText,
         .value = "WHAT",
         .choices = {"drop", "stop"},
         .default_value = "drop",
         .help = "When the context of a chat is full: drop its oldest questions and answers, or stop"},
        {.name = "no-history",
         .subject = kPromptSubject,
         .help = "Neither read nor write the history of lines typed in chats (~/.local/share/rafter/history)"},
    };
}

std::vector<OptionSpec> answer_rows() {
    return {
        {.name = "tokens",
         .also = "-n",
         .subject = kAnswerSubject,
         .kind = ValueKind::kWhole,
         .value = "N",
         .default_value = "512",
         .help = "Generate at most N tokens"},
        {.name = "stop",
         .subject = kAnswerSubject,
         .kind = ValueKind::kText,
         .list = ListKind::kRepeated,
         .value = "TEXT",
         .help = "End the answer before this text (may be given several times)"},
        {.name = "json-schema",
         .subject = kAnswerSubject,
         .kind = ValueKind::kFile,
         .value = "FILE",
         .help = "The answer is JSON that is valid by the schema in FILE; keywords that would not be kept to are refused"},
        {.name = "regex",
         .subject = kAnswerSubject,
         .kind = ValueKind::kText,
         .value = "REGEX",
         .help = "The whole answer matches this regular expression"},
        {.name = "grammar",
         .subject = kAnswerSubject,
         .kind = ValueKind::kFile,
         .value = "FILE",
         .help = "The answer keeps to the EBNF grammar in FILE (llama.cpp's GBNF); its first rule is root"},
        {.name = "choice",
         .subject = kAnswerSubject,
         .kind = ValueKind::kText,
         .list = ListKind::kRepeated,
         .value = "TEXT",
         .help = "The answer is this text, or one of them where several are given"},
        {.name = "min-tokens",
         .subject = kAnswerSubject,
         .kind = ValueKind::kWhole,
         .value = "N",
         .default_value = "0",
         .help = "Generate at least N tokens: before that, end tokens and --stop texts do not end the answer"},
        {.name = "ignore-eos",
         .subject = kAnswerSubject,
         .help = "Continue after end tokens, which are not shown, until --tokens or a --stop text"},
        {.name = "n",
         .subject = kAnswerSubject,
         .kind = ValueKind::kWhole,
         .value = "N",
         .whole = kAnswers,
         .help = "Generate N answers at once, each with its own seed derived from --seed"},
        {.name = "best-of",
         .subject = kAnswerSubject,
         .kind = ValueKind::kWhole,
         .value = "N",
         .whole = kAnswers,
         .help = "Generate N answers and show the --n of them (default: 1) with the highest mean log-probability per token"},
        {.name = "logprobs",
         .subject = kAnswerSubject,
         .kind = ValueKind::kWhole,
         .value = "N",
         .help = "With --json: show log-probabilities of each token and of the N likeliest"},
    };
}

}  // namespace

std::vector<OptionSpec> prompt_options() {
    std::vector<OptionSpec> rows = model_rows();
    for (auto* more : {prompt_rows, answer_rows}) {
        for (OptionSpec& row : more()) rows.push_back(std::move(row));
    }
    return rows;
}

}  // namespace rafter::apps
