/// store/filter_index.hpp - the inverted index of a segment's metadata: field value -> rows, as roaring bitmaps.
/// Bytes: docs/formats/segment.md, sections filter_paths and filter_terms.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "store/filter.hpp"
#include "store/row_set.hpp"

namespace dvesp::store {

inline constexpr std::size_t filter_paths_max = 4096;  ///< further fields of a segment are verified row by row

/// Collects the metadata of rows 0, 1, ... and writes the two sections.
class FilterIndexBuilder {
  public:
    /// @param metadata a CBOR map, or empty
    void add(std::uint32_t row, ByteView metadata);
    struct Sections {
        std::vector<std::uint8_t> paths;
        std::vector<std::uint8_t> terms;
    };
    [[nodiscard]] Sections finish();

  private:
    struct Entry {
        std::uint64_t key_at;
        std::uint32_t key_bytes;
        std::uint32_t row;
    };
    struct Path {
        std::vector<std::uint32_t> present, lists, irregular;
        std::vector<Entry> entries;
    };
    void add_fields(std::uint32_t row, ByteView metadata, ByteView map, const std::string& prefix, int depth);
    void add_value(std::uint32_t row, Path& path, ByteView value);
    void write_path(const std::string& name, Path& path, codec::Writer& paths, codec::Writer& terms);

    std::map<std::string, Path, std::less<>> paths_;
    std::string keys_;
    bool incomplete_ = false;
    bool dotted_keys_ = false;
};

/// Reads a row's metadata while verifying rows that the index cannot decide; nullopt when it is damaged.
using MetadataOf = std::function<std::optional<ByteView>(std::uint32_t row)>;

/// The index of one segment, over bytes that live as long as it. Immutable. @threads any
class FilterIndex {
  public:
    /// @errors corruption
    static Result<FilterIndex> parse(ByteView paths, ByteView terms, std::uint32_t rows);

    /// The rows that pass, exactly. @errors corruption  @cost O(postings touched + rows verified)
    [[nodiscard]] Result<RowSet> evaluate(const Filter& filter, const MetadataOf& metadata_of) const;

  private:
    struct Path {
        ByteView present, lists, irregular;  ///< serialized sets
        std::uint32_t term_count = 0;
        ByteView key_ends, keys, postings;
    };
    Result<RowSet> leaf(const Filter& filter, const MetadataOf& metadata_of) const;
    Result<RowSet> leaf_on_path(const Filter& filter, const Path& path, const MetadataOf& metadata_of) const;
    Result<RowSet> contains(const Filter& filter, const Path& path, const MetadataOf& metadata_of) const;
    Result<RowSet> rows_of_terms(const Path& path, std::uint32_t first, std::uint32_t last) const;
    Result<void> add_term(const Path& path, std::uint32_t term, RowSet& rows) const;
    Result<RowSet> rows_of_key(const Path& path, std::string_view key) const;
    Result<RowSet> range(const Filter& filter, const Path& path) const;
    Result<RowSet> verified(const Filter& filter, const RowSet& candidates, const MetadataOf& metadata_of) const;
    [[nodiscard]] std::string_view key(const Path& path, std::uint32_t term) const noexcept;
    [[nodiscard]] std::uint32_t lower_bound(const Path& path, std::string_view key, bool after_equal) const noexcept;

    std::map<std::string, Path, std::less<>> paths_;
    ByteView terms_;
    std::uint32_t rows_ = 0;
    bool incomplete_ = false;
};

}  // namespace dvesp::store
