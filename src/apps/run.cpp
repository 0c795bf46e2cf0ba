// rafter run: text from a prompt, or a chat in the terminal without one.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>

#include "apps/answer_options.h"
#include "apps/answers.h"
#include "apps/chat.h"
#include "apps/cli.h"
#include "apps/constraint_options.h"
#include "apps/generate.h"
#include "apps/options/flags.h"
#include "apps/output.h"
#include "apps/parting_options.h"
#include "apps/profile_report.h"
#include "apps/prompt_source.h"
#include "apps/session.h"
#include "apps/shown_answer.h"
#include "engine/conversation.h"
#include "engine/sampling/multiple_answers.h"
#include "grammar/grammar_compiler.h"
#include "protocols/answer_rules.h"
#include "protocols/openai_prompts.h"
#include "report/units.h"
#include "text/utf8_stream.h"

namespace rafter::apps {
namespace {

using nlohmann::ordered_json;

constexpr std::uint32_t kDefaultTokens = 512;
constexpr std::uint32_t kAnswersAtOnce = 16;  // each has its own keys and values in memory
constexpr std::uint64_t kChatContext = 8192;  // of a chat, where the model has as much

struct RunOptions {
    SessionOptions session;
    PromptOptions prompt_source;
    std::optional<std::string> prompt;  // once it is read
    bool chat = false;
    bool raw = false;
    std::string system;  // once it is read
    ordered_json template_variables;
    std::string on_full = "drop";
    bool no_history = false;
    AnswerOptions answer;
    ConstraintOptions constraint;
    PartingOptions parting;
    std::optional<std::uint32_t> n_answers;
    std::optional<std::uint32_t> best_of;
    bool json = false;
    std::optional<std::uint32_t> n_logprobs;
    ProfileReportOptions profile;

    [[nodiscard]] bool wants_several() const { return n_answers || best_of; }
    [[nodiscard]] engine::SeveralOptions several() const { return {.n = n_answers.value_or(1), .best_of = best_of}; }
    // Whether there will be questions after the prompt, or instead of one.
    [[nodiscard]] bool is_dialogue() const { return prompt_source.interactive || !prompt; }
};

// What standard error has for the user beside the answer: nothing with --quiet.
template <typename... Args>
void note(const RunOptions& options, fmt::format_string<Args...> format, Args&&... args) {
    if (!options.session.quiet) fmt::print(stderr, "rafter run: {}\n", fmt::format(format, std::forward<Args>(args)...));
}

// The prompt's tokens: as it stands, or as the user's message of a chat, and what its answers must keep to. Gives how they are parted;
// null: they are their text.
Result<std::shared_ptr<const protocols::AnswerRules>> set_prompt(const RunOptions& options, const engine::OpenedModel& opened, bool chat,
                                                                 engine::Request& request) {
    protocols::AnswerWishes wishes{.thought_tokens = options.parting.thinking_tokens};
    RAFTER_TRY(wishes.form, output_form(options.constraint));
    if (chat) {
        RAFTER_TRY(protocols::ToolRequest tools, read_tools(options.parting));
        text::ChatTemplateInput input;
        input.variables = options.template_variables;
        if (!options.system.empty()) input.messages.push_back({{"role", "system"}, {"content", text::valid_utf8(options.system)}});
        input.messages.push_back({{"role", "user"}, {"content", text::valid_utf8(*options.prompt)}});
        if (tools.choice != protocols::ToolChoice::kNone) {
            for (const protocols::FunctionTool& tool : tools.tools) input.tools.push_back(tool.definition);
        }
        RAFTER_TRY(protocols::ChatPrompt prompt, protocols::chat_prompt(opened, input, "prompt", {}, false));
        if (prompt.system_moved) note(options, "{}", text::kSystemMoved);
        request.prompt = std::move(prompt.tokens);
        wishes.tools = std::move(tools);
    } else {
        RAFTER_TRY(request.prompt, engine::encode_prompt(opened, *options.prompt));
    }
    grammar::GrammarCompiler compiler(*opened.tokenizer);
    const protocols::OpenAiDefaults defaults{.format = options.parting.format, .grammars = &compiler, .waits_for_grammars = true};
    RAFTER_TRY(protocols::AnswerTerms terms, protocols::set_answer_terms(request, "", std::move(wishes), opened, defaults, request.prompt));
    return std::move(terms.rules);
}

// Whether the prompt is a chat message.
Result<bool> is_chat(const RunOptions& options, const engine::OpenedModel& opened) {
    const bool chat = options.chat || options.is_dialogue() || (!options.raw && opened.has_own_template);
    if (!options.system.empty() && !chat)
        return Error{"--system: needs --chat, because only a chat has a system message", ErrorKind::kUsage};
    if (!options.parting.tools_file.empty() && !chat)
        return Error{"--tools: needs --chat, because only a chat has functions to call", ErrorKind::kUsage};
    if (chat && !opened.has_own_template) note(options, "the model file has no chat template; using the {}", opened.chat_template.name());
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
    RAFTER_TRY(const auto rules, set_prompt(options, session.opened(), chat, request));
    if (const auto warning = engine::prompt_warning(session.opened(), request.prompt)) note(options, "{}", *warning);
    const engine::SeveralOptions several = options.several();
    RAFTER_TRY_VOID(load_for(options, session, request, several.n_generated()));

    RAFTER_TRY(RunProfile profile, RunProfile::start(options.profile, environment, session, "run"));
    const report::Terminal terminal = stderr_terminal(environment);
    InterruptFlag interrupt;
    const bool as_it_comes = !options.json && !options.wants_several();
    ShownAnswer output(environment, rules);
    const auto on_text = [&](std::size_t /*answer*/, std::string_view text) { return as_it_comes ? output.write(text) : Result<void>(); };
    RAFTER_TRY(const Generations all,
               generate_all(session, engine::several_requests(request, several), on_text, interrupt, profile.profiler()));
    RAFTER_TRY_VOID(output.end());  // before the roof is measured, which takes a moment

    const engine::SpeculationCounters& speculated = session.engine().scheduler().speculator().counters();
    const std::optional<probe::MemoryRoof> roof = decode_roof(environment, session, all.cost);
    session.keep_on_disk();
    const ShowOptions show{.several = several,
                           .seed = request.sampling.seed,
                           .drawn = request.sampling.temperature > 0,
                           .logprobs = options.n_logprobs.has_value(),
                           .rules = rules,
                           .tokenizer = session.opened().tokenizer.get(),
                           .style = is_terminal(stdout) ? std::optional(stdout_style(environment)) : std::nullopt};
    if (options.json) {
        ordered_json result;
        result["prompt_tokens"] = request.prompt;
        if (options.wants_several()) {
            result["choices"] = choices_json(all.answers, show);
        } else {
            put_answer(result, all.answers[0], show, 0);
        }
        if (const std::string_view weights = session.held_weights(); !weights.empty()) result["weights"] = weights;
        result["timings"] = timings_json(all.cost, session.load_seconds(), roof);
        if (speculated.n_drafts > 0) result["speculation"] = speculation_json(speculated);
        if (session.kv_disk() != nullptr) result["kv_disk"] = kv_disk_json(*session.kv_disk());
        RAFTER_TRY_VOID(profile.finish(&result));
        RAFTER_TRY_VOID(write_stdout(json_text(result) + "\n"));
    } else {
        if (!as_it_comes) RAFTER_TRY_VOID(write_stdout(choices_text(all.answers, show)));
        if (!options.session.quiet) {
            const std::string_view weights = session.held_weights();
            print_note(terminal, summary_line(all.cost, roof) + (weights.empty() ? "" : fmt::format(" · weights as {}", weights)));
            if (session.kv_disk() != nullptr) print_note(terminal, "KV file: " + kv_disk_text(*session.kv_disk()));
            if (const std::string line = speculation_line(speculated); !line.empty()) print_note(terminal, line);
            if (request.sampling.temperature > 0 && !options.answer.seed)
                print_note(terminal, fmt::format("seed {}", request.sampling.seed));
        }
        RAFTER_TRY_VOID(profile.finish(nullptr));
    }
    const auto any = [&](auto property) { return std::any_of(all.answers.begin(), all.answers.end(), property); };
    if (any([](const Generation& answer) { return answer.finish.context_full; })) {
        const std::uint32_t context = session.engine().options().context;
        const std::uint32_t most = session.opened().config.n_context;
        note(options, "the context of {} tokens is full{}", report::grouped(context),
             context < most ? fmt::format("; --context takes more, up to the model's {}", report::grouped(most)) : "");
    }
    return any([](const Generation& answer) { return answer.finish.reason == engine::FinishReason::kCancelled; }) ? kExitInterrupted : 0;
}

// Options that make no sense together.
Result<void> check_usage(const RunOptions& options) {
    const auto usage = [](std::string message) { return Error{std::move(message), ErrorKind::kUsage}; };
    if (options.n_logprobs && !options.json) return usage("--logprobs: needs --json, which shows the log-probabilities");
    if (options.is_dialogue()) {
        const char* const needs = options.prompt ? "cannot be combined with --interactive" : "needs a prompt (-p)";
        if (options.json) return usage(fmt::format("--json: {}", needs));
        if (!options.profile.format.empty()) return usage(fmt::format("--profile: {}", needs));
        if (options.raw) return usage(fmt::format("--raw: {}", needs));
        if (options.n_answers) return usage(fmt::format("--n: {}", needs));
        if (options.best_of) return usage(fmt::format("--best-of: {}", needs));
        if (!options.parting.tools_file.empty()) return usage(fmt::format("--tools: {}", needs));
        if (options.parting.thinking_tokens) return usage(fmt::format("--thinking-tokens: {}", needs));
    }
    if (!options.prompt && !options.prompt_source.interactive && !is_terminal(stdin)) {
        return usage("expected a prompt: standard input is empty (-p TEXT and -f FILE give one)");
    }
    return {};
}

// Where the lines of chats are kept; none where they are not, or where there is no folder for them.
std::optional<std::filesystem::path> history_file(const RunOptions& options, const Environment& environment) {
    if (options.no_history || !environment.data_folder) return std::nullopt;
    return *environment.data_folder / "history";
}

Result<int> run(RunOptions options, const Environment& environment) {
    RAFTER_TRY(options.prompt, read_prompt(options.prompt_source));
    RAFTER_TRY(options.system, read_system(options.prompt_source));
    RAFTER_TRY(options.template_variables, template_variables(options.prompt_source));
    RAFTER_TRY_VOID(check_usage(options));
    RAFTER_TRY_VOID(check_usage(options.session.speculation));
    RAFTER_TRY_VOID(check_usage(options.constraint));
    const std::uint64_t seed = std::random_device{}();
    const std::uint32_t otherwise = options.is_dialogue() ? UINT32_MAX : kDefaultTokens;
    RAFTER_TRY_VOID(request_of(options.answer, {}, seed, otherwise));  // what is wrong with it is wrong with any model
    std::optional<HeldInput> held;
    if (options.is_dialogue()) held.emplace(HeldInput::Options{.marks_paste = !environment.dumb_terminal});
    RAFTER_TRY(const std::unique_ptr<Session> session, Session::open(environment, options.session));
    const engine::OpenedModel& opened = session->opened();
    RAFTER_TRY(const bool chat, is_chat(options, opened));
    const SamplingDefaults defaults = chat ? sampling_defaults(*opened.source) : SamplingDefaults{};
    for (const std::string& warning : defaults.warnings) note(options, "{}", warning);
    if (options.is_dialogue()) {
        RAFTER_TRY(auto form, output_form(options.constraint));
        RAFTER_TRY_VOID(session->load({.context = kChatContext, .n_outputs = 1}));
        const ChatOptions chat_options{.system = options.system,
                                       .template_variables = options.template_variables,
                                       .answer = options.answer,
                                       .form = std::move(form),
                                       .format = options.parting.format,
                                       .defaults = defaults,
                                       .seed = seed,
                                       .first_question = options.prompt,
                                       .history_file = history_file(options, environment),
                                       .drops_oldest = options.on_full == "drop",
                                       .quiet = options.session.quiet};
        return chat_in_terminal(environment, *session, chat_options);
    }
    RAFTER_TRY(engine::Request request, request_of(options.answer, defaults.sampling, seed, otherwise));
    RAFTER_TRY_VOID(engine::validate(options.several(), request.sampling));
    request.n_logprobs = options.n_logprobs;
    request.end_tokens = opened.tokenizer->special().end_of_generation;
    RAFTER_TRY_VOID(engine::validate(request.sampling, opened.config.n_vocab));
    return answer_prompt(options, environment, *session, chat, std::move(request));
}

}  // namespace

void add_run(CLI::App& app, Cli& cli) {
    const auto run_options = std::make_shared<RunOptions>();
    RunOptions& o = *run_options;
    Verb verb{.name = "run", .summary = "Generate text from a prompt, or chat in the terminal"};
    verb.options.add("model", o.session.model, {.required = true});
    add_prompt_options(verb.options, o.prompt_source);
    verb.options.add("chat", o.chat);
    verb.options.add("raw", o.raw);
    verb.options.add("chat-template", o.session.chat_template_file);
    verb.options.add("on-full", o.on_full);
    verb.options.add("no-history", o.no_history);
    add_answer_options(verb.options, o.answer);
    add_constraint_options(verb.options, o.constraint);
    add_parting_options(verb.options, o.parting);
    verb.options.add("n", o.n_answers);
    verb.options.add("best-of", o.best_of);
    verb.options.add("logprobs", o.n_logprobs);
    verb.options.add("context", o.session.context,
                     {.otherwise = "what they need, at least 4096, in a chat 8192, where the model has as many"});
    add_session_options(verb.options, o.session);
    add_kv_disk_options(verb.options, o.session.kv_disk);
    add_speculation_options(verb.options, o.session.speculation, {.default_value = "auto", .except = "compare"});
    verb.options.add("json", o.json);
    verb.options.add("quiet", o.session.quiet);
    add_profile_options(verb.options, o.profile);
    verb.footer =
        "Answers go to standard output, everything else to standard error. With --n or --best-of, the\n"
        "JSON of --json has one object in \"choices\" for each answer.\n\n"
        "Examples:\n"
        "  rafter run SmolLM2-135M-Instruct \"Why is the sky blue?\"\n"
        "  rafter run model.gguf --raw -p \"The capital of France is\" -n 20 --json --logprobs 5\n"
        "  rafter run model.gguf -p \"Summarize this text.\" < report.txt\n"
        "  rafter run model.gguf --temperature 0.6 --system-file role.txt\n"
        "  rafter run model.gguf -p \"A name for a boat?\" --temperature 1 --n 3 --best-of 8";
    verb.run = [run_options](const Environment& environment) { return run(*run_options, environment); };
    add_verb(app, cli, std::move(verb));
}

}  // namespace rafter::apps
