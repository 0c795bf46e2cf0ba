// Rafter as a library: a language model in this process. Open a model, submit requests from any thread, read each one's stream.
//
//   rafter::Model model = rafter::Model::open("model.gguf");
//   rafter::TokenStream stream = model.submit({.prompt = model.encode_prompt("The capital of France is"), .max_tokens = 20});
//   for (rafter::Update update = stream.wait();; update = stream.wait()) {
//       std::cout << update.text << std::flush;
//       if (update.finish) break;
//   }
//
// Errors: functions that can fail throw rafter::Exception, whose code() says what a caller can do about it (and std::bad_alloc, as all of
// C++ does). What goes wrong with a request once it is submitted is no exception: its stream ends with FinishReason::kError, alone.
// Threads: every function of Model and TokenStream may be called from any thread, except moving, assigning and destroying them.
// Same model file, options, request and seed: same tokens, whatever else runs. Text is UTF-8.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rafter {

[[nodiscard]] const char* version();  // of the library: "0.1.0"

enum class ErrorCode {
    kBadInput,     // this file, prompt or option can never be used: the message says what was expected and what was found
    kOutOfMemory,  // the machine, or the memory for keys and values, does not suffice
    kIo,           // the operating system said no: the message carries its words
    kBusy,         // too many requests wait already: try again later
    kStopped,      // the model was stopped
    kInternal,     // a fault of this library, not of what it was given
};

class Exception : public std::runtime_error {
  public:
    Exception(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
    [[nodiscard]] ErrorCode code() const noexcept { return code_; }

  private:
    ErrorCode code_;
};

using TokenId = std::int32_t;  // 0 .. ModelInfo::n_vocab - 1

// Number types of keys and values in memory. Quantised ones hold 32 elements with a scale: 8.5 and 5 bits an element.
enum class KvType { kF32, kF16, kBF16, kQ8, kQ4 };
// How activations enter quantised matrices: in 8 bits (fastest), 16 bits (more exact), or as floats.
enum class Activations { kQ8, kQ16, kF32 };

// Who drafts the next tokens, which the model then checks in the same step. Answers are the same to the last bit with any drafter.
enum class Drafter {
    kOff,
    kNgram,       // what followed the same words before: in the request itself, and in ended answers of the same cache_salt
    kDraftModel,  // a smaller model of the same vocabulary
};

// Before each step the number of draft tokens that pay is chosen by what steps take on this machine: without a machine profile
// (ModelOptions::cache_folder), nothing is drafted unless fixed_drafts is set.
struct SpeculationOptions {
    Drafter drafter = Drafter::kOff;
    std::string draft_model = {};  // of kDraftModel: a path or a name, as Model::open takes them
    // Draft tokens a request and step, 1 to 64. None: 8, or 32 where the machine profile says that AMX's tiles win.
    std::optional<std::uint32_t> max_drafts = std::nullopt;
    std::optional<std::uint32_t> fixed_drafts = std::nullopt;  // always so many, whether they pay or not; at most max_drafts
};

// A file for keys and values that memory has no more room for, and that a later process restores instead of computing them again. Only for
// models whose layers all see the whole context, and with prefix_cache; others warn and go on without it. One process at a time.
struct KvDiskOptions {
    std::filesystem::path path = {};           // empty: none
    std::uint64_t size_bytes = 4'000'000'000;  // that the file may take
};

struct RuntimeOptions {
    unsigned n_threads = 0;  // that compute; 0: as many as CPUs that this process may use
    std::string isa = {};    // of the kernels: "scalar", "avx2", "avx512", "amx"; empty: the best that this machine has
};

// Compute threads that several models share: busy models take turns, a step a turn. Copies are the same runtime, which lives as long as the
// last copy and the last model on it. Like a model, it may be used from any thread.
class Runtime {
  public:
    // Throws kBadInput on an instruction set that this machine does not have.
    [[nodiscard]] static Runtime create(const RuntimeOptions& options = {});

  private:
    friend class Model;
    struct State;
    explicit Runtime(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;
};

struct ModelOptions {
    // Plain folders: the library reads no environment. `rafter` itself uses RAFTER_MODELS_DIR and ~/.cache/rafter/models, and
    // ~/.cache/rafter.
    std::vector<std::filesystem::path> models_folders = {};  // in which models have names; the first one that has the name counts
    std::filesystem::path cache_folder = {};                 // of machine profiles: what this machine can do; empty: none is read or saved
    // Where cache_folder has no profile of this machine, number of threads, instruction set and version: measure it in open(), in 3
    // seconds, and save it there. false: go on without one, as with an empty cache_folder.
    bool measure_machine = false;

    std::optional<Runtime> runtime = std::nullopt;  // shared with other models; none: one of its own, with these two options
    unsigned n_threads = 0;                         // as RuntimeOptions; 0 beside a shared runtime
    std::string isa = {};                           // as RuntimeOptions; empty beside a shared runtime
    std::optional<std::uint32_t> context =
        std::nullopt;               // tokens of prompt and answer together; none: 4096, or the model's own if that is less
    std::uint32_t n_sequences = 8;  // requests that run at once at most, and full contexts that keys and values get memory for
    std::optional<std::uint64_t> kv_memory_bytes = std::nullopt;  // that keys and values may take; none: what is available
    KvType key_type = KvType::kF16;
    KvType value_type = KvType::kF16;
    std::uint32_t block_size = 16;  // positions a block of keys and values, the smallest part that is shared or evicted: 16, 32, .. 256
    Activations activations = Activations::kQ8;
    // Type that matrices are held in: "F32", "Q8_0", .. as `rafter run --help` lists them, any case; empty: the file's types. Weights are
    // dequantised and encoded again while they load, each rounded plainly. Where a type's blocks do not divide a row, another takes its
    // place, and `warn` says so. Of the model alone, not of a draft model.
    std::string weights = {};
    bool prefix_cache = true;  // prompts that begin alike share keys and values; no token changes by it
    KvDiskOptions kv_disk = {};
    SpeculationOptions speculation = {};
    // Seconds between two tokens of a request while others' prompts are computed beside it: prompts are cut into chunks that keep it. none:
    // a small multiple of what a step of one token takes; 0: steps are as large as they may be. Kept only with a machine profile.
    std::optional<double> target_itl_seconds = std::nullopt;
    std::uint32_t max_waiting = 256;  // requests in line; more are refused with kBusy

    std::function<void(double fraction)> progress = {};  // called by open() in its thread with 0..1 while weights load; must not throw
    // Something a person should know though nothing fails: a sentence that begins with the option's name, such as "kv_disk: ...". Called by
    // open() in its thread, and later in the model's; must not throw, and must not call the model. Empty: nobody is told.
    std::function<void(std::string_view message)> warn = {};
};

struct ModelInfo {
    std::string name;  // as the file says, or the file's own
    std::size_t n_vocab = 0;
    std::uint32_t context = 0;        // tokens of prompt and answer together, as opened
    std::uint32_t model_context = 0;  // that the model was trained for
    bool has_chat_template = false;   // of its own; without one, a known template that fits is used
    std::vector<TokenId> end_tokens;  // that end an answer
    std::size_t weights_bytes = 0;    // in memory, without a draft model's
    std::size_t kv_bytes = 0;         // reserved for keys and values, without a draft model's
    std::size_t workspace_bytes = 0;
    double target_itl_seconds = 0.0;  // between two tokens of a request; 0: none is kept
};

// A call of a function: what an answer has, and what later prompts say of it.
struct Call {
    std::string name;
    std::string arguments;  // a JSON object
    std::string id = {};    // that its result names; empty: results stand in the order of calls
};

struct Message {
    std::string role;  // "system", "user", "assistant", "tool"
    std::string content;
    std::string reasoning = {};    // of an assistant: the thoughts before it
    std::vector<Call> calls = {};  // of an assistant
    std::string call_id = {};      // of a tool: the call whose result `content` is
};

// A function that answers may call.
struct Tool {
    std::string name;  // 1 to 64 letters, digits, "_", "-" or "."
    std::string description = {};
    std::string parameters = {};  // a JSON schema of an object; empty: there are none
};

struct ChatOptions {
    std::vector<Tool> tools = {};
    std::string variables = {};  // of the chat template: a JSON object, such as {"enable_thinking": false}; empty: none
};

// Applied to the logits in this order: logit bias, penalties, temperature, top-k, top-p, min-p, typical-p; then one token is drawn.
struct SamplingOptions {
    std::vector<std::pair<TokenId, float>> logit_bias = {};  // added to these tokens' logits
    double repeat_penalty = 1.0;     // logits of tokens seen in prompt or answer: divided by it when positive, multiplied when negative
    double frequency_penalty = 0.0;  // subtracted for each time that a token is in the answer so far
    double presence_penalty = 0.0;   // subtracted once when it is there at all
    double temperature = 0.0;        // 0: always the likeliest token
    std::uint32_t top_k = 0;         // only the k likeliest; 0: all
    double top_p = 1.0;              // only the likeliest tokens that together have at least this probability
    double min_p = 0.0;              // only tokens at least this fraction as likely as the likeliest
    double typical_p = 1.0;          // only the tokens nearest to the expected surprise that together have this probability; 1: all
    std::uint64_t seed = 0;
};

// What an answer must keep to; see docs/server.md for what is supported of each. A constraint that cannot be kept is refused with
// kBadInput, by Model::submit or in the finish.
enum class ConstraintKind {
    kNone,
    kJsonObject,  // a JSON object
    kJsonSchema,  // JSON that is valid by the schema in `text`
    kRegex,       // the whole answer matches the regular expression in `text`
    kGrammar,     // the EBNF grammar in `text`, in the form of llama.cpp's GBNF
    kChoice,      // one of `choices`
};
struct Constraint {
    ConstraintKind kind = ConstraintKind::kNone;
    std::string text = {};
    std::vector<std::string> choices = {};
};

enum class ToolChoice {
    kAuto,      // the model chooses
    kNone,      // nothing is called
    kRequired,  // the answer is at least one call: a grammar makes that certain
    kNamed,     // the answer is a call of Parting::tool_name
};

// An answer is parted into thoughts, content and calls of functions, as the model's chat template writes them. Marks that are control
// tokens then show in Update::text.
struct Parting {
    std::vector<Tool> tools = {};  // those of the prompt: ChatOptions::tools
    ToolChoice tool_choice = ToolChoice::kAuto;
    std::string tool_name = {};  // of kNamed
    bool parallel_calls = true;  // an answer may have several calls
    // Thoughts of so many tokens are ended with a sentence, and the answer goes on; none: no limit.
    std::optional<std::uint32_t> thinking_tokens = std::nullopt;
    // How the model writes calls and thoughts, by a name that `rafter serve --help` lists; "auto": as its chat template does.
    std::string tool_parser = "auto";
    std::string reasoning_parser = "auto";
};

struct Request {
    std::vector<TokenId> prompt = {};  // of Model::encode_prompt or encode_chat, or made by hand; not empty
    SamplingOptions sampling = {};
    std::uint32_t max_tokens = 512;                                 // 0: only score the prompt
    std::vector<std::string> stop = {};                             // the answer ends before the first of these texts
    std::optional<std::vector<TokenId>> end_tokens = std::nullopt;  // that end the answer and are not shown; none: the model's
    std::uint32_t min_tokens = 0;                                   // before so many, neither end tokens nor stop texts end it
    bool ignore_eos = false;                                        // end tokens are drawn and end nothing
    std::optional<std::uint32_t> n_logprobs = std::nullopt;         // report each token's log-probability, and those of the n likeliest
    std::optional<std::uint32_t> score_prompt_from = std::nullopt;  // report the log-probability of each prompt token after this position
    int priority = 0;                                               // the higher first; each step of it is worth half a minute of waiting
    std::optional<double> timeout_seconds = std::nullopt;           // from submit() on; then it ends with what it has
    std::string cache_salt = {};                                    // only requests with the same salt share keys and values
    Constraint constraint = {};  // compiled once for each text, beside other requests; this one waits for it. It is no thought's
    std::optional<Parting> parting = std::nullopt;  // of the prompts of chats; none: the answer is its text
};

struct Logprobs {
    double logprob = 0.0;                         // natural logarithm, of the raw logits
    std::vector<std::pair<TokenId, double>> top;  // the likeliest, falling
};

struct Token {
    TokenId id = 0;
    std::optional<Logprobs> logprobs;  // as Request::n_logprobs asks
};

enum class FinishReason {
    kStop,       // an end token or a stop text
    kLength,     // max_tokens, or the context is full
    kCancelled,  // by TokenStream::cancel, or because the model was stopped
    kTimeout,
    kError,
};
[[nodiscard]] std::string_view to_string(FinishReason reason);  // "stop", "length", "cancelled", "timeout", "error"

struct Finish {
    FinishReason reason = FinishReason::kStop;
    bool context_full = false;  // why the length was reached
    ErrorCode error_code = ErrorCode::kBadInput;
    std::string error;                // of kError; else empty
    std::uint32_t n_prompt = 0;       // tokens
    std::uint32_t n_reused = 0;       // prompt tokens whose keys and values were there already
    std::uint32_t n_generated = 0;    // tokens, the end token included
    std::uint32_t n_preemptions = 0;  // how often it had to give its room to others
    double queue_seconds = 0.0;       // from submit() to its first step
    double prefill_seconds = 0.0;     // from there to the first token
    double decode_seconds = 0.0;      // from there to the last
};

enum class PartKind {
    kReasoning,
    kContent,
    kCallBegin,  // text: the function's name
    kArguments,  // text: more of the JSON object
    kCallEnd,    // the arguments are whole; a call that the answer's end cuts off has none
};
struct Part {
    PartKind kind = PartKind::kContent;
    std::string text;
    std::uint32_t call = 0;  // which of the answer's calls, from 0
};
// An answer's parts, joined.
struct Answer {
    std::string reasoning;
    std::string content;
    std::vector<Call> calls;

    void add(std::span<const Part> parts);
};

// What has come since the last look.
struct Update {
    std::vector<Token> tokens;
    std::string text;  // whole characters; lags behind the tokens where a character or a stop text may be going on
    // Of Request::parting: the text, parted, without marks. What may still become a call or a mark waits. Arguments come as the model
    // writes them where a call is forced (ToolChoice) and its notation is JSON, and whole elsewhere: what turns out to be no call is
    // content.
    std::vector<Part> parts;
    std::vector<Logprobs> prompt_scores;
    std::optional<Finish> finish;  // nothing comes after it; asked again, a stream gives it again
};

// The answer to one request, as it comes. The model never waits for a slow reader, and the stream may outlive the model. Destroying it
// cancels the request. One thread at a time reads a stream with Request::parting.
class TokenStream {
  public:
    // Does not wait.
    [[nodiscard]] Update take();
    // Waits until there is something. Every request comes to its finish, also when the model is stopped or destroyed.
    [[nodiscard]] Update wait();
    // Waits no longer than this; then the update may be empty.
    [[nodiscard]] Update wait_for(double seconds);
    // Waits for the finish, and gives all that was not taken yet.
    [[nodiscard]] Update wait_for_finish();
    // The request ends before the next step, unless it has ended.
    void cancel();

    TokenStream(TokenStream&&) noexcept;
    TokenStream& operator=(TokenStream&&) noexcept;
    ~TokenStream();

  private:
    friend class Model;
    struct State;
    explicit TokenStream(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

// After the last step, and sums since the model was opened.
struct Counters {
    std::uint64_t n_running = 0;  // requests
    std::uint64_t n_waiting = 0;  // requests in line
    // Predicted for what running and waiting requests have left to compute: their prompts, and answers as long as those before. In seconds;
    // 0 where nothing is known of this machine.
    double queued_seconds = 0.0;
    std::uint64_t n_accepted = 0;  // requests
    std::uint64_t n_busy = 0;      // requests refused with kBusy
    std::uint64_t n_steps = 0;
    std::uint64_t n_tokens = 0;  // computed, of prompts and answers
    double step_seconds = 0.0;   // of all steps
    double last_step_seconds = 0.0;
    std::uint64_t n_preemptions = 0;      // requests preempted for want of memory for keys and values
    std::uint64_t n_kv_blocks = 0;        // that there are for keys and values
    std::uint64_t n_kv_used = 0;          // of them, by running requests
    std::uint64_t n_kv_kept = 0;          // of them, for prompts to come
    std::uint64_t n_draft_tokens = 0;     // checked by the model
    std::uint64_t n_accepted_drafts = 0;  // of them, that were right
};

enum class StopMode {
    kDrain,   // requests go on to their ends
    kCancel,  // they end before the next step, as cancelled, with what they have
};

// A model with its weights, its memory for keys and values, and a thread that computes when there is something to compute.
class Model {
  public:
    // model: the path of a GGUF file (any part of a split one), or of a folder of Hugging Face's cache that holds one model; or a name in
    // options.models_folders, in any case, with or without ".gguf". Reads all weights.
    // Throws kBadInput, kOutOfMemory, kIo.
    [[nodiscard]] static Model open(const std::filesystem::path& model, const ModelOptions& options = {});

    [[nodiscard]] const ModelInfo& info() const;
    // The text's tokens and no others: what looks like a special token is text.
    [[nodiscard]] std::vector<TokenId> tokenize(std::string_view text) const;
    // Special tokens have no text. Bytes that are no UTF-8 stay as they are. Throws kBadInput on tokens that the model does not have.
    [[nodiscard]] std::string detokenize(std::span<const TokenId> tokens) const;
    // A text to go on with: special tokens in it are tokens, and BOS stands before it where the model wants that. Throws kBadInput when
    // nothing is left to start from.
    [[nodiscard]] std::vector<TokenId> encode_prompt(std::string_view text) const;
    // The messages as the model was trained to see them, up to where its answer begins. A template that knows no tools gets them in words,
    // in its system message. Throws kBadInput where the template refuses them, and on tools that are none.
    [[nodiscard]] std::string apply_chat_template(const std::vector<Message>& messages, const ChatOptions& options = {}) const;
    [[nodiscard]] std::vector<TokenId> encode_chat(const std::vector<Message>& messages,
                                                   const ChatOptions& options = {}) const;  // its tokens

    // Does not wait. Throws kBusy when options.max_waiting requests are in line, kStopped after stop(), kBadInput for what can never run.
    [[nodiscard]] TokenStream submit(Request request) const;
    [[nodiscard]] Counters counters() const;
    // Takes no more requests, and returns when those under way have ended and kv_disk's file has what the next process may want. A kCancel
    // hurries a kDrain that another thread waits for.
    void stop(StopMode mode) const;

    Model(Model&&) noexcept;
    Model& operator=(Model&&) noexcept;
    ~Model();  // as stop(StopMode::kCancel)

  private:
    struct State;
    explicit Model(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace rafter
