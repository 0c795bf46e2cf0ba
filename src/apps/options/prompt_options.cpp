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
         .help = "The prompt; without it, an interactive chat"},
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
        {.name = "system", .subject = kPromptSubject, .kind = ValueKind::kText, .value = "TEXT", .help = "The system message of a chat"},
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
