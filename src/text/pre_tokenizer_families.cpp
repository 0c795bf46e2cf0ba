// The expressions are those of the models' own tokenizer.json files, known by the names that llama.cpp's converter gives them
// (https://github.com/ggml-org/llama.cpp/blob/master/convert_hf_to_gguf_update.py). Where an original would take quadratic time on a long
// run (a lookahead that reads to the run's end from each of its characters), an equal one stands here, with a word on why it is equal.
#include "text/pre_tokenizer_families.h"

#include <algorithm>

namespace rafter::text {
namespace {

constexpr std::string_view kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen35 = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N})"
                                     R"(| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTinyAya =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTekken = R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
                                     R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
                                     R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// The original intersects classes: [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]] is everything but the other categories and Han.
// sc: the script itself; PCRE2 would take in its extensions, such as the ideographic full stop.
constexpr std::string_view kKimiK2 =
    R"([\p{sc:Han}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[^\p{Ll}\p{N}\p{P}\p{S}\p{Z}\p{C}\p{sc:Han}]*[^\p{Lu}\p{Lt}\p{N}\p{P}\p{S}\p{Z}\p{C}\p{sc:Han}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[^\p{Ll}\p{N}\p{P}\p{S}\p{Z}\p{C}\p{sc:Han}]+[^\p{Lu}\p{Lt}\p{N}\p{P}\p{S}\p{Z}\p{C}\p{sc:Han}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kDeepseek3Words = R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
                                             R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kDeepseek3Cjk = R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)";
constexpr std::string_view kDeepseekCjk = R"([\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)";
// The cased letters as that model's authors listed them.
constexpr std::string_view kDeepseekLlmLetters =
    R"(\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377})"
    R"(\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556})"
    R"(\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77})"
    R"(\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D})"
    R"(\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB})"
    R"(\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126})"
    R"(\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B})"
    R"(\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787})"
    R"(\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F})"
    R"(\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}]+)";
constexpr std::string_view kDeepseekLlmPunctuation = R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)";
// \s+$ from the start of a run of white space only: it matches from there or nowhere in the run.
constexpr std::string_view kTrailingSpace = R"((?<!\s)\s++$)";
constexpr std::string_view kBloom = R"( ?[^(\s|.,!?…。，、।۔،)]+)";
constexpr std::string_view kLines = R"([^\n]+|[\n]+)";
// Scripts written without spaces, as ranges.
constexpr std::string_view kAfmoeScripts =
    R"([\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{F900}-\x{FAFF}\x{3040}-\x{309F}\x{30A0}-\x{30FF}\x{FF65}-\x{FF9F}\x{2F00}-\x{2FDF})"
    R"(\x{E40}-\x{E7F}\x{E80}-\x{EFF}\x{1780}-\x{17FF}\x{1000}-\x{109F}\x{AA60}-\x{AA7F}\x{A9E0}-\x{A9FF}\x{AC00}-\x{D7AF}\x{1100}-\x{11FF}]+)";
constexpr std::string_view kYoutuScripts = R"([\x{AC00}-\x{D7A3}\x{3131}-\x{318E}]+|[！…“”‘’—：；，\x{3001}-\x{303F}\x{FE30}-\x{FE4F}]+)"
                                           R"(|[\x{3105}-\x{312F}]+|[\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)";
constexpr std::string_view kYoutuWords =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// \s*[\r\n]+ is tried once a run of white space only: where it fails there, no line end follows, and white space that the later parts have
// cut off goes before.
constexpr std::string_view kJais2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|(?:(?<!\s)|(?<=[\r\n]))\s*[\r\n]+)"
    R"(|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1})";
constexpr std::string_view kBailing =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kSeedCoder =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)";
// Possessive, so that a long run of words needs no stack: nothing follows the group, so nothing is ever given back.
constexpr std::string_view kExaoneMoe = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*+(?: \p{L}\p{M}*+)*+)++|\p{N})"
                                        R"(| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kMinicpm5 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kSparkWords = R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
                                         R"(| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kUfakzeka = R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// \d{1,3}(?=(?:\d{3})*\b): a run of digits that ends a word, in threes from its right. The class spells out what \b takes for a part of a
// word in Oniguruma, whose own table also has Latin-1's superscripts and fractions.
constexpr std::string_view kDigitsThatEndAWord = R"((?<!\p{Nd})\p{Nd}++(?![\p{Alphabetic}\p{M}\p{Pc}\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE}]))";

constexpr PreTokenizerFamily kFamilies[] = {
    {.names = "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
     .steps = {{{kLlama3}}},
     .ignore_merges = true,
     .add_bos = true},
    {.names = "dbrx smaug-bpe chatglm-bpe glm4", .steps = {{{kLlama3}}}},
    {.names = "gpt-2 phi-2 mpt olmo jais trillion granite-docling exaone4 gigachat a.x-4.0 mellum modern-bert jina-es jina-de jina-v2-es "
              "jina-v2-de "
              "jina-v1-en jina-v2-code roberta-bpe",
     .steps = {{{kGpt2}}}},
    {.names = "starcoder refact command-r smollm codeshell exaone minerva-7b mellum2", .steps = {{{R"(\p{N})"}, {kGpt2}}}},
    {.names = "qwen2 stablelm2 hunyuan solar-open megrez deepseek-r1-qwen kormo f2llmv2 grok-2", .steps = {{{kQwen2}}}},
    {.names = "qwen35", .steps = {{{kQwen35}}}},
    {.names = "falcon", .steps = {{{R"([\p{P}\$\+<=>\^~\|`]+)"}, {kGpt2}, {R"([0-9][0-9][0-9])"}}}},
    {.names = "deepseek-llm",
     .steps = {{{R"([\r\n])"}, {kDeepseekLlmLetters}, {kDeepseekLlmPunctuation}, {kTrailingSpace}, {kDeepseekCjk}, {R"(\p{N})"}}}},
    {.names = "deepseek-coder", .steps = {{{R"([\r\n])"}, {R"(\s?\p{L}+)"}, {R"(\s?\p{P}+)"}, {kDeepseekCjk}, {R"(\p{N})"}}}},
    {.names = "deepseek-v3 hunyuan-dense joyai-llm hy_v4", .steps = {{{R"(\p{N}{1,3})"}, {kDeepseek3Cjk}, {kDeepseek3Words}}}},
    {.names = "gpt-4o llama4 kanana2 talkie minimax-m2", .steps = {{{kGpt4o}}}},
    {.names = "granite-embed-multi-97m", .steps = {{{kGpt4o}}}, .ignore_merges = true},
    {.names = "tekken", .steps = {{{kTekken}}}, .ignore_merges = true, .add_bos = true},
    {.names = "kimi-k2", .steps = {{{kKimiK2}}}},
    {.names = "bloom gpt3-finnish poro-chat", .steps = {{{kBloom}}}},
    {.names = "viking", .steps = {{{kBloom}, {R"(\p{N})"}}}},
    {.names = "chameleon",
     .steps =
         {{{R"(<sentinel:[0-9]+>)"}, {R"(IMGIMG[A-I]{1,4}Z)"}, {R"([\t\n]|    |  )"}, {R"(\p{N})"}, {R"([\p{P}!-/:-@\[-`{-~])"}, {kGpt2}}},
     .add_bos = true},
    // The original's second expression, (?=(\d{3})+(?!\d)), matches the empty places before each three digits counted from a run's end.
    {.names = "superbpe", .steps = {{{R"(\p{N}+)"}, {R"(\p{Nd}+)", Cut::kBeforeThrees}}}},
    {.names = "jais-2", .steps = {{{kJais2}}}},
    {.names = "bailingmoe bailingmoe2 llada-moe", .steps = {{{kBailing}}}},
    {.names = "seed-coder", .steps = {{{kSeedCoder}}}},
    {.names = "exaone-moe", .steps = {{{kExaoneMoe}}}},
    {.names = "tiny_aya cohere2moe", .steps = {{{kDigitsThatEndAWord, Cut::kThreesFromTheRight}, {kTinyAya}}}},
    {.names = "afmoe", .steps = {{{R"(\p{N}+)", Cut::kThreesFromTheRight}, {kAfmoeScripts}, {kDeepseek3Words}}}},
    {.names = "youtu", .steps = {{{kYoutuScripts}, {kYoutuWords}}}, .ignore_merges = true},
    {.names = "minicpm5", .steps = {{{R"(\p{N}{1,3})"}, {kMinicpm5}}}, .ignore_merges = true},
    {.names = "spark2_5", .steps = {{{R"(\p{N}{1,3})"}, {kDeepseek3Cjk}, {kSparkWords}, {R"(\p{N})"}}}},
    {.names = "ufakzeka", .steps = {{{kUfakzeka}}}},
    {.names = "laguna", .steps = {{{kLines}, {kQwen2}}}},
    {.names = "gemma4 granite-embed-multi-311m", .steps = {{{kLines}}}, .add_bos = true, .space_mark = true},
    {.names = "sarvam-moe", .steps = {{{kLines}}}, .space_mark = true},
    {.names = "default", .steps = {{{R"([\p{P}\$\+<=>\^~\|]+)"}, {kGpt2}, {R"(\p{N}+)"}, {R"([0-9][0-9][0-9])"}}}},
};

// The tokenizers of Qwen, GPT-NeoX (OLMo and MPT took its vocabulary over) and Cohere have NFC as their normaliser: classes Qwen2Tokenizer,
// GPTNeoXTokenizer and CohereTokenizer of Hugging Face's transformers. Members of one row of expressions may differ in it.
constexpr std::string_view kNormalizedToNfc = "qwen2 qwen35 deepseek-r1-qwen f2llmv2 olmo mpt modern-bert command-r tiny_aya cohere2moe";

bool has_name(std::string_view names, std::string_view name) {
    while (!names.empty()) {
        const std::size_t end = std::min(names.find(' '), names.size());
        if (names.substr(0, end) == name) return true;
        names.remove_prefix(std::min(end + 1, names.size()));
    }
    return false;
}

}  // namespace

bool normalizes_to_nfc(std::string_view name) { return has_name(kNormalizedToNfc, name); }

std::span<const PreTokenizerFamily> pre_tokenizer_families() { return kFamilies; }

const PreTokenizerFamily* find_pre_tokenizer_family(std::string_view name) {
    const auto* const found = std::ranges::find_if(kFamilies, [&](const PreTokenizerFamily& row) { return has_name(row.names, name); });
    return found == std::end(kFamilies) ? nullptr : found;
}

const PreTokenizerFamily& default_pre_tokenizer_family() { return *find_pre_tokenizer_family("default"); }

}  // namespace rafter::text
