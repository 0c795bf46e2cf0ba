// The model, what it is asked and how long it may answer.
#include "apps/options/option_spec.h"
#include "engine/sampling/multiple_answers.h"

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
         .help = "Read options from this file, TOML or (FILE.json) JSON; flags and RAFTER_... variables come before it"},
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
         .help = "The prompt (-: standard input). Text on standard input comes after it, and alone is the prompt; without any, a chat"},
        {.name = "file",
         .also = "-f",
         .subject = kPromptSubject,
         .kind = ValueKind::kFile,
         .value = "FILE",
         .help = "Read the prompt from this file (-: standard input); it comes after --prompt"},
        {.name = "interactive",
         .also = "-i",
         .subject = kPromptSubject,
         .help = "Chat, and begin with the prompt if there is one; standard input that is no terminal is then a question a line"},
        {.name = "chat",
         .subject = kPromptSubject,
         .excludes = "raw",
         .help = "The prompt is a chat message (default where the model file has a chat template)"},
        {.name = "raw",
         .subject = kPromptSubject,
         .excludes = "chat",
         .help = "The prompt is the beginning of the text; BOS is added where the model wants it"},
        {.name = "chat-template",
         .subject = kPromptSubject,
         .kind = ValueKind::kFile,
         .value = "FILE",
         .otherwise = "the model's own",
         .help = "A chat template (Jinja) to use instead"},
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
         .help = "A variable of the chat template; VALUE is JSON or a text (may be given several times)"},
        {.name = "no-thinking",
         .subject = kPromptSubject,
         .help = "Answer without reasoning first, where the chat template has that (enable_thinking=false)"},
        {.name = "on-full",
         .subject = kPromptSubject,
         .kind = ValueKind::kText,
         .value = "WHAT",
         .choices = {"drop", "stop"},
         .default_value = "drop",
         .help = "When the context of a chat is full: drop its oldest questions and answers, or stop"},
        {.name = "no-history",
         .subject = kPromptSubject,
         .help = "Neither read nor keep the lines typed in chats (~/.local/share/rafter/history)"},
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
         .help = "Tokens to generate at most"},
        {.name = "stop",
         .subject = kAnswerSubject,
         .kind = ValueKind::kText,
         .list = ListKind::kRepeated,
         .value = "TEXT",
         .help = "End the answer before this text (may be given several times)"},
        {.name = "min-tokens",
         .subject = kAnswerSubject,
         .kind = ValueKind::kWhole,
         .value = "N",
         .default_value = "0",
         .help = "Do not end the answer before it has so many tokens, by no end token or --stop text"},
        {.name = "ignore-eos",
         .subject = kAnswerSubject,
         .help = "Go on after end tokens, which are not shown, up to --tokens or a --stop text"},
        {.name = "n",
         .subject = kAnswerSubject,
         .kind = ValueKind::kWhole,
         .value = "N",
         .whole = kAnswers,
         .help = "Generate so many answers at once, each with a seed of its own made from --seed"},
        {.name = "best-of",
         .subject = kAnswerSubject,
         .kind = ValueKind::kWhole,
         .value = "N",
         .whole = kAnswers,
         .help = "Generate so many, and show the --n of them (default: 1) whose tokens the model thought the likeliest on average"},
        {.name = "logprobs",
         .subject = kAnswerSubject,
         .kind = ValueKind::kWhole,
         .value = "N",
         .help = "With --json: log-probabilities of each token and of the N likeliest"},
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
