// What gguf_vocabulary makes of special tokens, gaps and files that name them: the ids of the GGUF file are those of the tokenizer.json.
#include "text/hf/gguf_vocabulary.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "text/vocabulary.h"

namespace rafter::text {
namespace {

constexpr std::string_view kJson = R"({
  "added_tokens": [{"id": 4, "content": "<bos>", "special": true}, {"id": 5, "content": "<eos>", "special": true},
                   {"id": 6, "content": "<stop>", "special": true}, {"id": 8, "content": "<tool>", "special": false}],
  "normalizer": null,
  "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
  "decoder": {"type": "ByteLevel"},
  "post_processor": {"type": "TemplateProcessing",
                     "single": [{"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]},
  "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "c": 3}, "merges": ["a b"]}})";

files::Metadata metadata_of(std::string_view json, std::string_view config) {
    files::Metadata metadata;
    metadata.add(std::string(kTokenizerJsonKey), json);
    metadata.add(std::string(hf::kTokenizerConfigKey), config);
    return metadata;
}

TEST(GgufVocabulary, HasTheTokensTypesAndMerges) {
    const auto made = gguf_vocabulary(metadata_of(kJson, "{}"));
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->model, "gpt2");
    EXPECT_EQ(made->pre, "gpt-2");
    EXPECT_EQ(made->tokens, (std::vector<std::string>{"a", "b", "ab", "c", "<bos>", "<eos>", "<stop>", "[PAD7]", "<tool>"}));
    EXPECT_EQ(made->token_types, (std::vector<std::int64_t>{1, 1, 1, 1, 3, 3, 3, 5, 4}));
    EXPECT_EQ(made->merges, std::vector<std::string>{"a b"});
    EXPECT_TRUE(made->scores.empty());
    EXPECT_EQ(made->bos_id, 4U);
    EXPECT_TRUE(made->add_bos);
    EXPECT_FALSE(made->add_eos);
}

TEST(GgufVocabulary, NamesTheSpecialTokensOfTheConfigAndEveryEnd) {
    files::Metadata metadata =
        metadata_of(kJson, R"({"eos_token": {"content": "<eos>"}, "pad_token": "<tool>", "mask_token": "<stop>", "add_bos_token": false})");
    metadata.add(std::string(hf::kEosIdsKey), files::MetadataArray(std::vector<std::int64_t>{5, 6, 3, 99, -1}));
    const auto made = gguf_vocabulary(metadata);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->eos_id, 5U);
    EXPECT_EQ(made->pad_id, 8U);
    EXPECT_EQ(made->mask_id, 6U);
    EXPECT_EQ(made->eot_id, 6U);
    EXPECT_EQ(made->eom_id, 3U);
    EXPECT_FALSE(made->add_bos);

    const files::Metadata converted = metadata_with_vocabulary(metadata, *made);
    const auto gguf = Tokenizer::load(converted);
    const auto own = Tokenizer::load(metadata);
    ASSERT_TRUE(gguf) << gguf.error().message;
    ASSERT_TRUE(own) << own.error().message;
    EXPECT_EQ((*gguf)->special().end_of_generation, (*own)->special().end_of_generation);
    EXPECT_EQ((*gguf)->special().bos, (*own)->special().bos);
    EXPECT_EQ((*gguf)->special().padding, (*own)->special().padding);
    EXPECT_EQ((*gguf)->special().add_bos, (*own)->special().add_bos);
}

TEST(GgufVocabulary, IsAsLongAsTheModelsVocabulary) {
    files::Metadata metadata = metadata_of(kJson, "");
    metadata.add("general.architecture", std::string_view("llama"));
    metadata.add("llama.vocab_size", std::uint64_t{11});
    const auto made = gguf_vocabulary(metadata);
    ASSERT_TRUE(made) << made.error().message;
    ASSERT_EQ(made->tokens.size(), 11U);
    EXPECT_EQ(made->tokens.back(), "[PAD10]");
    EXPECT_EQ(made->token_types.back(), static_cast<std::int64_t>(TokenType::kUnused));
}

TEST(GgufVocabulary, RefusesAVocabularyThatFillsMemory) {
    files::Metadata metadata = metadata_of(kJson, "");
    metadata.add("general.architecture", std::string_view("llama"));
    metadata.add("llama.vocab_size", std::uint64_t{1} << 40);
    const auto made = gguf_vocabulary(metadata);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().message, "vocab_size: expected at most 4000000, found 1099511627776");
}

// With Phi-3's added tokens, of which one swallows the white space behind it.
std::string with_strips(std::string_view swallows) {
    std::string json(kJson);
    for (const std::string_view text : {"<eos>", "<stop>", "<tool>", "<bos>"}) {
        const std::string content = fmt::format("\"content\": \"{}\",", text);
        json.replace(json.find(content), content.size(), fmt::format("{} \"rstrip\": {},", content, swallows.find(text) != swallows.npos));
    }
    return json;
}

TEST(GgufVocabulary, SaysWhichTokensSwallowWhiteSpaceWhereTheNameDoesNot) {
    struct Case {
        std::string_view name, swallows;
        bool has_keys;
    };
    constexpr Case kCases[] = {{"Phi-3-mini", "<eos> <stop> <tool> <bos>", false},
                               {"Phi-3-mini", "", true},
                               {"Phi-3-mini", "<stop>", true},
                               {"another", "<stop> <tool>", true},
                               {"another", "", false}};
    for (const Case& c : kCases) {
        const std::string json = with_strips(c.swallows);
        files::Metadata metadata = metadata_of(json, "");
        metadata.add("general.name", c.name);
        const auto made = gguf_vocabulary(metadata);
        ASSERT_TRUE(made) << made.error().message;
        EXPECT_EQ(made->rstrip_ids.has_value(), c.has_keys) << c.name << c.swallows;
        // llama.cpp would look for tokens that this vocabulary does not have.
        const std::size_t n_of_name = c.name == "Phi-3-mini" ? 1 : 0;
        EXPECT_EQ(made->warnings.size(), n_of_name + (c.has_keys ? 1 : 0));
        const files::Metadata converted = metadata_with_vocabulary(metadata, *made);
        const auto gguf = Tokenizer::load(converted);
        const auto own = Tokenizer::load(metadata);
        ASSERT_TRUE(gguf) << gguf.error().message;
        ASSERT_TRUE(own) << own.error().message;
        for (const std::string_view text : {"<stop> \na", "a <tool>\xC2\xA0 b", "<eos>\xE3\x80\x80\xFF<bos> <stop>  ", " <stop> <tool>"})
            EXPECT_EQ((*gguf)->encode(text, SpecialTokens::kParse), (*own)->encode(text, SpecialTokens::kParse)) << text;
    }
}

TEST(GgufVocabulary, NoMergeSpellsASpecialToken) {
    constexpr std::string_view kSpelling = R"({
      "added_tokens": [{"id": 3, "content": "abc", "special": true}],
      "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}, "decoder": {"type": "ByteLevel"},
      "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "abc": 3, "bc": 4}, "merges": ["b c", "a bc"]}})";
    const files::Metadata metadata = metadata_of(kSpelling, "");
    const auto made = gguf_vocabulary(metadata);
    ASSERT_TRUE(made) << made.error().message;
    const files::Metadata converted = metadata_with_vocabulary(metadata, *made);
    for (const files::Metadata* file : {&metadata, &converted}) {
        const auto tokenizer = Tokenizer::load(*file);
        ASSERT_TRUE(tokenizer) << tokenizer.error().message;
        EXPECT_EQ((*tokenizer)->encode("abc", SpecialTokens::kParse), std::vector<TokenId>{3});
        EXPECT_EQ((*tokenizer)->encode("abc", SpecialTokens::kAsText), (std::vector<TokenId>{0, 4}));
    }
}

}  // namespace
}  // namespace rafter::text
