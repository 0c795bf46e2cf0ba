// rafter run: text from a prompt (-p), or a chat in the terminal without one.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>

#include "apps/answers.h"
#include "apps/chat.h"
#include "apps/cli.h"
#include "apps/generate.h"
#include "apps/options/flags.h"
#include "apps/output.h"
#include "apps/profile_report.h"
#include "apps/session.h"
#include "engine/conversation.h"
#include "engine/sampling/multiple_answers.h"

namespace rafter::apps {
namespace {

using nlohmann::ordered_json;

constexpr std::uint32_t kDefaultTokens = 512;
constexpr std::uint32_t kAnswersAtOnce = 16;  // each has its own keys and values in memory

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
    std::uint32_t min_tokens = 0;
    bool ignore_eos = false;
    std::optional<std::uint32_t> n_answers;
    std::optional<std::uint32_t> best_of;
    bool json = false;
    std::optional<std::uint32_t> n_logprobs;
    ProfileReportOptions profile;

    [[nodiscard]] bool wants_several() const { return n_answers || best_of; }
    [[nodiscard]] engine::SeveralOptions several() const { return {.n = n_answers.value_or(1), .best_of = best_of}; }
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
    if (!chat) return engine::encode_prompt(opened, *options.prompt);
    engine::Conversation conversation(opened, options.system);
    auto prompt = conversation.ask(*options.prompt);
    if (conversation.system_moved()) fmt::print(stderr, "rafter run: {}\n", text::kSystemMoved);
    return prompt;
}

// Whether the prompt is a chat message.
Result<bool> is_chat(const RunOptions& options, const engine::OpenedModel& opened) {
    const bool chat = options.chat || !options.prompt || (!options.raw && opened.has_own_template);
    if (!options.system.empty() && !chat) return Error{"--system: only a chat has a system message (--chat)", ErrorKind::kUsage};
    if (chat && !opened.has_own_template) {
        fmt::print(stderr, "rafter run: the model file has no chat template; using the {}\n", opened.chat_template.name());
    }
    return chat;
}

// Loads the model with room for these many answers at once.
Result<void> load_for(const RunOptions& options, Session& session, const engine::Request& request, std::uint32_t n_answers) {
    const std::uint64_t needed = std::uint64_t{request.prompt.size()} + request.max_tokens;
    if (n_answers == 1) return session.load({.context = needed, .n_outputs = 1});
    const std::uint32_t n_at_once = std::min(n_answers, kAnswersAtOnce);
    return session.load({.context = std::min<std::uint64_t>(needed, session.opened().config.n_context),
                         .n_outputs = n_at_once,
                         .n_sequences = n_at_once,
                         .no_more_context = !options.session.context});
}

Result<int> answer_prompt(const RunOptions& options, const Environment& environment, Session& session, bool chat, engine::Request request) {
    RAFTER_TRY(request.prompt, prompt_tokens(options, session.opened(), chat));
    if (const auto warning = engine::prompt_warning(session.opened(), request.prompt)) fmt::print(stderr, "rafter run: {}\n", *warning);
    request.max_tokens = options.n_tokens.value_or(kDefaultTokens);
    const engine::SeveralOptions several = options.several();
    RAFTER_TRY_VOID(load_for(options, session, request, several.n_generated()));

    RAFTER_TRY(RunProfile profile, RunProfile::start(options.profile, environment, session, "run"));
    const report::Terminal terminal = stderr_terminal(environment);
    InterruptFlag interrupt;
    const bool as_it_comes = !options.json && !options.wants_several();
    const auto on_text = [&](std::size_t /*answer*/, std::string_view text) { return as_it_comes ? write_stdout(text) : Result<void>(); };
    RAFTER_TRY(const Generations all,
               generate_all(session, engine::several_requests(request, several), on_text, interrupt, profile.profiler()));

    const engine::SpeculationCounters& speculated = session.engine().scheduler().speculator().counters();
    const std::optional<probe::MemoryRoof> roof = decode_roof(environment, session, all.cost);
    session.keep_on_disk();
    const ShowOptions show{.several = several,
                           .seed = request.sampling.seed,
                           .drawn = request.sampling.temperature > 0,
                           .logprobs = options.n_logprobs.has_value()};
    if (options.json) {
        ordered_json result;
        result["prompt_tokens"] = request.prompt;
        if (options.wants_several()) {
            result["choices"] = choices_json(all.answers, show);
        } else {
            put_answer(result, all.answers[0], show, 0);
        }
        result["timings"] = timings_json(all.cost, session.load_seconds(), roof);
        if (speculated.n_drafts > 0) result["speculation"] = speculation_json(speculated);
        if (session.kv_disk() != nullptr) result["kv_disk"] = kv_disk_json(*session.kv_disk());
        RAFTER_TRY_VOID(profile.finish(&result));
        RAFTER_TRY_VOID(write_stdout(result.dump() + "\n"));
    } else {
        // A line end only where a person reads: in a pipe the text stays as the model wrote it.
        const std::string line_end = is_terminal(stdout) ? "\n" : "";
        RAFTER_TRY_VOID(write_stdout(as_it_comes ? line_end : choices_text(all.answers, show)));
        fmt::print(stderr, "{}{}\n", is_terminal(stdout) || !terminal.interactive ? "" : "\n",
                   terminal.style.dim(summary_line(all.cost, roof)));
        if (session.kv_disk() != nullptr) {
            fmt::print(stderr, "{}\n", terminal.style.dim("KV file: " + kv_disk_text(*session.kv_disk())));
        }
        if (const std::string line = speculation_line(speculated); !line.empty()) fmt::print(stderr, "{}\n", terminal.style.dim(line));
        if (request.sampling.temperature > 0 && !options.seed)
            fmt::print(stderr, "{}\n", terminal.style.dim(fmt::format("seed {}", request.sampling.seed)));
        RAFTER_TRY_VOID(profile.finish(nullptr));
    }
    const auto any = [&](auto property) { return std::any_of(all.answers.begin(), all.answers.end(), property); };
    if (any([](const Generation& answer) { return answer.finish.context_full; })) {
        fmt::print(stderr, "rafter run: the context of {} tokens is full; --context takes more, up to the model's {}\n",
                   session.engine().options().context, session.opened().config.n_context);
    }
    return any([](const Generation& answer) { return answer.finish.reason == engine::FinishReason::kCancelled; }) ? kExitInterrupted : 0;
}

// Options that make no sense together.
Result<void> check_usage(const RunOptions& options) {
    const auto usage = [](std::string message) { return Error{std::move(message), ErrorKind::kUsage}; };
    if (options.n_logprobs && !options.json) return usage("--logprobs: only --json shows them");
    if (!options.prompt) {
        if (options.json) return usage("--json: needs a prompt (-p)");
        if (!options.profile.format.empty()) return usage("--profile: needs a prompt (-p)");
        if (options.raw) return usage("--raw: needs a prompt (-p)");
        if (options.n_answers) return usage("--n: needs a prompt (-p)");
        if (options.best_of) return usage("--best-of: needs a prompt (-p)");
    }
    const std::uint32_t most = options.n_tokens.value_or(options.prompt ? kDefaultTokens : UINT32_MAX);
    if (options.min_tokens > most) {
        return usage(fmt::format("--min-tokens: expected at most the {} of --tokens, found {}", most, options.min_tokens));
    }
    return {};
}

Result<int> run(const RunOptions& options, const Environment& environment) {
    RAFTER_TRY_VOID(check_usage(options));
    RAFTER_TRY_VOID(check_usage(options.session.speculation));
    engine::Request request;
    RAFTER_TRY(request.sampling, sampling_of(options));
    RAFTER_TRY_VOID(engine::validate(options.several(), request.sampling));
    request.stop = options.stop;
    request.min_tokens = options.min_tokens;
    request.ignore_eos = options.ignore_eos;
    request.n_logprobs = options.n_logprobs;
    RAFTER_TRY(const std::unique_ptr<Session> session, Session::open(environment, options.session));
    request.end_tokens = session->opened().tokenizer->special().end_of_generation;
    RAFTER_TRY_VOID(engine::validate(request.sampling, session->opened().config.n_vocab));
    RAFTER_TRY(const bool chat, is_chat(options, session->opened()));
    if (options.prompt) return answer_prompt(options, environment, *session, chat, std::move(request));

    request.max_tokens = options.n_tokens.value_or(session->opened().config.n_context);
    RAFTER_TRY_VOID(session->load({.context = 0, .n_outputs = 1}));
    return chat_in_terminal(environment, *session, options.system, request);
}

void add_sampling_options(OptionSet& options, RunOptions& run) {
    engine::SamplingOptions& sampling = run.sampling;
    options.add("logit-bias", run.logit_bias);
    options.add("repeat-penalty", sampling.repeat_penalty);
    options.add("frequency-penalty", sampling.frequency_penalty);
    options.add("presence-penalty", sampling.presence_penalty);
    options.add("temperature", sampling.temperature);
    options.add("top-k", sampling.top_k);
    options.add("top-p", sampling.top_p);
    options.add("min-p", sampling.min_p);
    options.add("typical-p", sampling.typical_p);
    options.add("seed", run.seed);
}

}  // namespace

void add_run(CLI::App& app, Cli& cli) {
    const auto run_options = std::make_shared<RunOptions>();
    RunOptions& o = *run_options;
    Verb verb{.name = "run", .summary = "Generate text from a prompt, or chat in the terminal"};
    verb.options.add("model", o.session.model, {.required = true});
    verb.options.add("prompt", o.prompt);
    verb.options.add("chat", o.chat);
    verb.options.add("raw", o.raw);
    verb.options.add("system", o.system);
    verb.options.add("chat-template", o.session.chat_template_file);
    verb.options.add("tokens", o.n_tokens, {.otherwise = "512; in a chat, as many as fit"});
    verb.options.add("stop", o.stop);
    verb.options.add("min-tokens", o.min_tokens);
    verb.options.add("ignore-eos", o.ignore_eos);
    verb.options.add("n", o.n_answers);
    verb.options.add("best-of", o.best_of);
    verb.options.add("logprobs", o.n_logprobs);
    add_sampling_options(verb.options, o);
    verb.options.add("context", o.session.context, {.otherwise = "what they need, at least 4096 where the model has as many"});
    add_session_options(verb.options, o.session);
    add_kv_disk_options(verb.options, o.session.kv_disk);
    add_speculation_options(verb.options, o.session.speculation, {.default_value = "auto", .except = "compare"});
    verb.options.add("json", o.json);
    add_profile_options(verb.options, o.profile);
    verb.footer =
        "Text goes to standard output, all else to standard error. With --n or --best-of, --json has an\n"
        "object in choices for each answer.\n\n"
        "Examples:\n"
        "  rafter run SmolLM2-135M-Instruct \"Why is the sky blue?\"\n"
        "  rafter run model.gguf --raw -p \"The capital of France is\" -n 20 --json --logprobs 5\n"
        "  rafter run model.gguf --temperature 0.8 --top-p 0.95 --seed 1\n"
        "  rafter run model.gguf -p \"A name for a boat?\" --temperature 1 --n 3 --best-of 8";
    verb.run = [run_options](const Environment& environment) { return run(*run_options, environment); };
    add_verb(app, cli, std::move(verb));
}

}  // namespace rafter::apps
