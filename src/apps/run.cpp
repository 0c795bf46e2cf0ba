// rafter run: text from a prompt (-p), or a chat in the terminal without one.
#include <fmt/format.h>

#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>

#include "apps/chat.h"
#include "apps/cli.h"
#include "apps/generate.h"
#include "apps/output.h"
#include "apps/profile_report.h"
#include "apps/session.h"
#include "engine/conversation.h"

namespace rafter::apps {
namespace {

using nlohmann::ordered_json;

constexpr std::uint32_t kDefaultTokens = 512;

struct RunOptions {
    SessionOptions session;
    std::optional<std::string> prompt;
    bool chat = false;
    bool raw = false;
    std::string system;
    std::optional<std::uint32_t> n_tokens;
    engine::SamplingOptions sampling;
    std::optional<std::uint64_t> seed;
    std::vector<std::string> logit_bias;  // "ID=VALUE"
    std::vector<std::string> stop;
    bool json = false;
    std::optional<std::uint32_t> n_logprobs;
    ProfileReportOptions profile;
};

Result<std::pair<engine::TokenId, float>> parse_bias(const std::string& text) {
    std::pair<engine::TokenId, float> bias;
    const char* const end = text.data() + text.size();
    const auto id = std::from_chars(text.data(), end, bias.first);
    const bool has_id = id.ec == std::errc() && id.ptr != end && *id.ptr == '=';
    const auto value = has_id ? std::from_chars(id.ptr + 1, end, bias.second) : id;
    if (!has_id || value.ec != std::errc() || value.ptr != end) {
        return Error{fmt::format("--logit-bias: expected ID=VALUE, such as 42=-5, found {}", text), ErrorKind::kUsage};
    }
    return bias;
}

Result<engine::SamplingOptions> sampling_of(const RunOptions& options) {
    engine::SamplingOptions sampling = options.sampling;
    for (const std::string& text : options.logit_bias) {
        RAFTER_TRY(const auto bias, parse_bias(text));
        sampling.logit_bias.push_back(bias);
    }
    sampling.seed = options.seed ? *options.seed : std::random_device{}();
    return sampling;
}

// The prompt's tokens: as it stands, or as the user's message of a chat.
Result<std::vector<engine::TokenId>> prompt_tokens(const RunOptions& options, const engine::OpenedModel& opened, bool chat) {
    if (chat) return engine::Conversation(opened, options.system).ask(*options.prompt);
    return engine::encode_prompt(opened, *options.prompt);
}

ordered_json logprobs_json(const engine::GeneratedToken& token) {
    ordered_json top = ordered_json::array();
    for (const auto& [id, logprob] : token.logprobs->top) top.push_back({id, logprob});
    return {{"id", token.id}, {"logprob", token.logprobs->logprob}, {"top", std::move(top)}};
}

ordered_json result_json(const std::vector<engine::TokenId>& prompt, const Generation& generation, const RunOptions& options,
                         const engine::SamplingOptions& sampling, double load_seconds, const std::optional<MemoryRoof>& roof) {
    ordered_json result;
    result["prompt_tokens"] = prompt;
    result["tokens"] = ordered_json::array();
    for (const engine::GeneratedToken& token : generation.tokens) result["tokens"].push_back(token.id);
    result["text"] = generation.text;
    result["finish_reason"] = engine::to_string(generation.finish.reason);
    if (sampling.temperature > 0) result["seed"] = sampling.seed;
    if (options.n_logprobs) {
        result["logprobs"] = ordered_json::array();
        for (const engine::GeneratedToken& token : generation.tokens) result["logprobs"].push_back(logprobs_json(token));
    }
    const GenerationCost& cost = generation.cost;
    result["timings"] = {
        {"load_seconds", load_seconds},
        {"prefill_seconds", cost.prefill_seconds},
        {"prefill_tokens_per_second", cost.prefill_tokens_per_second()},
        {"decode_seconds", cost.decode_seconds},
        {"decode_tokens_per_second", cost.decode_tokens_per_second()},
        {"bytes_per_token", cost.bytes_per_token()},
        {"read_bytes_per_s", cost.bytes_per_second()},
        {"bandwidth_bytes_per_s", roof ? ordered_json(roof->bytes_per_s) : ordered_json()},
        {"bandwidth_level", roof ? ordered_json(roof->level) : ordered_json()},
        {"roof_fraction", roof ? ordered_json(cost.bytes_per_second() / roof->bytes_per_s) : ordered_json()},
    };
    const auto error = roof ? above_roof(cost.bytes_per_second(), *roof) : std::nullopt;
    if (error) result["timings"]["measuring_error"] = *error;
    return result;
}

// Whether the prompt is a chat message.
Result<bool> is_chat(const RunOptions& options, const engine::OpenedModel& opened) {
    const bool chat = options.chat || !options.prompt || (!options.raw && opened.has_own_template);
    if (!options.system.empty() && !chat) return Error{"--system: only a chat has a system message (--chat)", ErrorKind::kUsage};
    if (chat && !opened.has_own_template) {
        fmt::print(stderr, "rafter run: the model file has no chat template; taken: {}\n", opened.chat_template.name());
    }
    return chat;
}

Result<int> answer_once(const RunOptions& options, const Environment& environment, Session& session, bool chat, engine::Request request) {
    RAFTER_TRY(request.prompt, prompt_tokens(options, session.opened(), chat));
    request.max_tokens = options.n_tokens.value_or(kDefaultTokens);
    const std::vector<engine::TokenId> prompt = request.prompt;
    const engine::SamplingOptions sampling = request.sampling;
    RAFTER_TRY_VOID(session.load({.context = std::uint64_t{prompt.size()} + request.max_tokens, .n_outputs = 1}));

    RAFTER_TRY(RunProfile profile, RunProfile::start(options.profile, environment, session, "run"));
    const report::Terminal terminal = stderr_terminal(environment);
    InterruptFlag interrupt;
    const auto on_text = [&](std::string_view text) { return options.json ? Result<void>() : write_stdout(text); };
    RAFTER_TRY(const Generation generation, generate(session, std::move(request), on_text, interrupt, profile.profiler()));

    std::optional<MemoryRoof> roof;
    if (generation.cost.n_decoded > 0) roof = memory_roof(environment, session, generation.cost.bytes_per_token());
    if (options.json) {
        ordered_json result = result_json(prompt, generation, options, sampling, session.load_seconds(), roof);
        RAFTER_TRY_VOID(profile.finish(&result));
        RAFTER_TRY_VOID(write_stdout(result.dump() + "\n"));
    } else {
        // A line end only where a person reads: in a pipe the text stays as the model wrote it.
        RAFTER_TRY_VOID(write_stdout(is_terminal(stdout) ? "\n" : ""));
        fmt::print(stderr, "{}{}\n", is_terminal(stdout) || !terminal.interactive ? "" : "\n",
                   terminal.style.dim(summary_line(generation.cost, roof)));
        if (sampling.temperature > 0 && !options.seed)
            fmt::print(stderr, "{}\n", terminal.style.dim(fmt::format("seed {}", sampling.seed)));
        RAFTER_TRY_VOID(profile.finish(nullptr));
    }
    if (generation.finish.context_full) {
        fmt::print(stderr, "rafter run: the context of {} tokens is full; --context takes more, up to the model's {}\n",
                   session.engine().options().context, session.opened().config.n_context);
    }
    return generation.finish.reason == engine::FinishReason::kCancelled ? kExitInterrupted : 0;
}

Result<int> run(const RunOptions& options, const Environment& environment) {
    if (options.n_logprobs && !options.json) return Error{"--logprobs: only --json shows them", ErrorKind::kUsage};
    if (options.json && !options.prompt) return Error{"--json: needs a prompt (-p)", ErrorKind::kUsage};
    if (!options.profile.format.empty() && !options.prompt) return Error{"--profile: needs a prompt (-p)", ErrorKind::kUsage};
    if (options.raw && !options.prompt) return Error{"--raw: needs a prompt (-p)", ErrorKind::kUsage};
    engine::Request request;
    RAFTER_TRY(request.sampling, sampling_of(options));
    request.stop = options.stop;
    request.n_logprobs = options.n_logprobs;
    RAFTER_TRY(const std::unique_ptr<Session> session, Session::open(environment, options.session));
    request.end_tokens = session->opened().tokenizer->special().end_of_generation;
    RAFTER_TRY_VOID(engine::validate(request.sampling, session->opened().config.n_vocab));
    RAFTER_TRY(const bool chat, is_chat(options, session->opened()));
    if (options.prompt) return answer_once(options, environment, *session, chat, std::move(request));

    request.max_tokens = options.n_tokens.value_or(session->opened().config.n_context);
    RAFTER_TRY_VOID(session->load({.context = 0, .n_outputs = 1}));
    return chat_in_terminal(environment, *session, options.system, request);
}

void add_sampling_options(CLI::App& verb, RunOptions& options) {
    engine::SamplingOptions& sampling = options.sampling;
    const auto group = "Sampling (in this order)";
    verb.add_option("--logit-bias", options.logit_bias, "Add VALUE to the logit of token ID (may be given several times)")
        ->type_name("ID=VALUE")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->group(group);
    verb.add_option("--repeat-penalty", sampling.repeat_penalty,
                    "Divide positive logits of tokens seen in prompt or answer by this, multiply negative ones")
        ->type_name("X")
        ->capture_default_str()
        ->group(group);
    verb.add_option("--frequency-penalty", sampling.frequency_penalty, "Subtract this for each time a token is in the answer already")
        ->type_name("X")
        ->capture_default_str()
        ->group(group);
    verb.add_option("--presence-penalty", sampling.presence_penalty, "Subtract this once from tokens that are in the answer already")
        ->type_name("X")
        ->capture_default_str()
        ->group(group);
    verb.add_option("--temperature", sampling.temperature, "0 takes the likeliest token each time, 1 draws as the model thinks")
        ->type_name("X")
        ->capture_default_str()
        ->group(group);
    verb.add_option("--top-k", sampling.top_k, "Draw from the K likeliest tokens (0: all)")
        ->type_name("K")
        ->capture_default_str()
        ->group(group);
    verb.add_option("--top-p", sampling.top_p, "Draw from the likeliest tokens that together have this probability")
        ->type_name("P")
        ->capture_default_str()
        ->group(group);
    verb.add_option("--min-p", sampling.min_p, "Draw from tokens at least this fraction as likely as the likeliest")
        ->type_name("P")
        ->capture_default_str()
        ->group(group);
    verb.add_option("--seed", options.seed, "Same seed, same text (default: a new one each time)")->type_name("N")->group(group);
}

}  // namespace

void add_run(CLI::App& app, Cli& cli) {
    const auto options = std::make_shared<RunOptions>();
    CLI::App* verb = app.add_subcommand("run", "Generate text from a prompt, or chat in the terminal");
    add_session_options(*verb, options->session);
    verb->add_option("-p,--prompt", options->prompt, "The prompt; without it, an interactive chat")->type_name("TEXT");
    CLI::Option* chat =
        verb->add_flag("--chat", options->chat, "The prompt is a chat message (default where the model file has a chat template)");
    verb->add_flag("--raw", options->raw, "The prompt is the beginning of the text; BOS is added where the model wants it")->excludes(chat);
    verb->add_option("--system", options->system, "The system message of a chat")->type_name("TEXT");
    verb->add_option("-n,--tokens", options->n_tokens,
                     fmt::format("Tokens to generate at most (default: {}; in a chat, as many as fit)", kDefaultTokens))
        ->type_name("N");
    verb->add_option("--stop", options->stop, "End the answer before this text (may be given several times)")
        ->type_name("TEXT")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    verb->add_option("--context", options->session.context,
                     "Tokens that prompt and answer may have together (default: what they need, at least 4096 where the model has as many)")
        ->type_name("N");
    verb->add_flag("--json", options->json, "Print one JSON object: tokens, text, finish reason, timings");
    verb->add_option("--logprobs", options->n_logprobs, "With --json: log-probabilities of each token and of the N likeliest")
        ->check(CLI::NonNegativeNumber)
        ->type_name("N");
    add_profile_options(*verb, options->profile);
    add_sampling_options(*verb, *options);
    verb->footer(
        "Text goes to standard output, all else to standard error.\n\n"
        "Examples:\n"
        "  rafter run SmolLM2-135M-Instruct --chat -p \"Why is the sky blue?\"\n"
        "  rafter run model.gguf --raw -p \"The capital of France is\" -n 20 --json --logprobs 5\n"
        "  rafter run model.gguf --temperature 0.8 --top-p 0.95 --seed 1");
    verb->callback([options, &cli] {
        cli.action = [options, &cli] {
            const Result<int> status = run(*options, cli.environment);
            return status ? *status : report_error("run", status.error());
        };
    });
}

}  // namespace rafter::apps
