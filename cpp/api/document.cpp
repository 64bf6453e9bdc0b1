/// api/document.cpp - a SAX handler that builds the tree and takes the vectors out of it.
#include "api/document.hpp"

#include <algorithm>
#include <cmath>

#include "codec/frame.hpp"

namespace dvesp::api {
namespace {

/// Halfway from the largest float32 to the next power of two: from here on rounding ends at infinity.
constexpr double rounds_to_infinity = 0x1.ffffffp127;

/// What nlohmann's parser calls; `false` ends the parsing.
class Builder {
  public:
    bool null() { return add(nullptr); }
    bool boolean(bool value) { return add(value); }
    bool number_integer(std::int64_t value) { return in_vector() ? add_number(static_cast<double>(value)) : add(value); }
    bool number_unsigned(std::uint64_t value) { return in_vector() ? add_number(static_cast<double>(value)) : add(value); }
    bool number_float(double value, const std::string& text) {
        if (in_vector()) return add_number(value);
        if (text.find_first_of(".eE") != std::string::npos) return add(value);
        return refuse(where() + ": an integer does not fit in 64 bits; store it as a string");
    }
    bool string(std::string& text) { return add(std::move(text)); }
    bool binary(const Json::binary_t&) { return refuse("the body is not JSON"); }
    bool key(std::string& name) {
        stack_.back().key = std::move(name);
        return true;
    }
    bool start_object(std::size_t) { return open(Json::object()); }
    bool end_object() { return check_members(stack_.back().container) && close(); }
    bool start_array(std::size_t) { return axes() != 0 ? open_vectors() : open(Json::array()); }
    bool end_array() { return capture_ == Capture::none ? close() : close_vectors(); }
    bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) {
        return refuse("the body is not JSON: byte " + std::to_string(position) + " is wrong, or what stands before it");
    }

    [[nodiscard]] const std::string& problem() const { return problem_; }
    Document document;

  private:
    /// Where the numbers of vectors go while they are read: between rows, or inside one.
    enum class Capture : std::uint8_t { none, rows, row };
    struct Open {
        Json container;
        std::string key;  ///< of the member that is being read
    };

    bool refuse(std::string message) {
        if (problem_.empty()) problem_ = std::move(message);
        return false;
    }
    [[nodiscard]] bool in_vector() const { return capture_ != Capture::none || axes() != 0; }
    [[nodiscard]] std::string where() const { return stack_.empty() || stack_[0].key.empty() ? "the body" : stack_[0].key; }
    [[nodiscard]] std::string row_name() const {
        const std::uint32_t before = stack_.size() > 1 ? 0 : first_row_;  // each of the records begins anew
        return where() + ": row " + std::to_string(document.matrix.count - before);
    }

    /// 2 where the next value shall be rows of numbers, 1 where it shall be one row, else 0.
    [[nodiscard]] int axes() const {
        if (capture_ != Capture::none) return 2;
        if (stack_.empty() || !stack_.back().container.is_object()) return 0;
        const std::string& name = stack_.back().key;
        if (stack_.size() == 1) {
            if (name == "vectors" || name == "query_vectors") return 2;
            return name == "vector" || name == "query_vector" ? 1 : 0;
        }
        const bool is_record =
            stack_[0].key == "records" && (stack_.size() == 2 || (stack_.size() == 3 && !stack_[1].container.is_object()));
        return is_record && name == "vector" ? 1 : 0;
    }

    bool open(Json container) {
        if (stack_.size() >= json_depth_max) return refuse(where() + ": nested deeper than 64 levels; flatten it");
        if (!count_value()) return false;
        stack_.push_back({std::move(container), {}});
        return true;
    }
    bool close() {
        Json done = std::move(stack_.back().container);
        stack_.pop_back();
        return attach(std::move(done));
    }
    bool add(Json value) {
        if (capture_ != Capture::none || (axes() != 0 && !value.is_null())) {
            return refuse((capture_ == Capture::none ? where() : row_name()) + ": must be " +
                          (capture_ == Capture::row ? "numbers alone" : "a list of numbers, one list for each row"));
        }
        return count_value() && attach(std::move(value));
    }
    bool count_value() {
        if (++values_ <= json_values_max) return true;
        return refuse("the body has more than 4,000,000 values; split the batch");
    }
    bool attach(Json value) {
        if (stack_.empty()) {
            document.root = std::move(value);
            return true;
        }
        Open& parent = stack_.back();
        if (parent.container.is_array()) {
            parent.container.push_back(std::move(value));
        } else {
            // Behind the others without a look for its name: that would cost a walk a member. check_members finds repeats.
            static_cast<Json::object_t::Container&>(parent.container.get_ref<Json::object_t&>())
                .emplace_back(parent.key, std::move(value));
        }
        return true;
    }

    bool check_members(const Json& object) {
        const auto& members = object.get_ref<const Json::object_t&>();
        if (members.size() < 2) return true;
        std::vector<std::string_view> names;
        names.reserve(members.size());
        for (const auto& [name, value] : members) names.emplace_back(name);
        std::sort(names.begin(), names.end());
        const auto twice = std::adjacent_find(names.begin(), names.end());
        return twice == names.end() || refuse(where() + ": '" + std::string(*twice) + "' is given twice in one object");
    }

    bool open_vectors() {
        if (capture_ == Capture::row) return refuse(row_name() + ": must be numbers alone, not lists of them");
        if (capture_ == Capture::none) {
            first_row_ = document.matrix.count;
            is_single_ = axes() == 1;
        }
        capture_ = capture_ == Capture::rows || is_single_ ? Capture::row : Capture::rows;
        elements_ = 0;
        return true;
    }
    bool add_number(double value) {
        if (capture_ != Capture::row) return add(value);  // refuses: a number where a list is wanted
        const bool fits = std::abs(value) < rounds_to_infinity;
        if (!fits) return refuse(row_name() + ", element " + std::to_string(elements_) + ": does not fit in a float32");
        if (++elements_ > codec::dimension_max)
            return refuse(row_name() + ": more than 4096 numbers; dimension must be 1..4096");
        document.matrix.values.push_back(static_cast<float>(value));
        return true;
    }
    bool close_vectors() {
        if (capture_ == Capture::row && !close_row()) return false;
        const bool is_done = capture_ == Capture::rows || is_single_;
        capture_ = is_done ? Capture::none : Capture::rows;
        return !is_done || attach(first_row_);
    }
    bool close_row() {
        Matrix& matrix = document.matrix;
        if (elements_ == 0) return refuse(row_name() + ": is empty; dimension must be 1..4096");
        if (matrix.count == codec::batch_count_max) {
            return refuse(where() + ": more than 100,000 rows in one batch; split it");
        }
        if (matrix.count > 0 && elements_ != matrix.dimension) {
            return refuse(row_name() + " has " + std::to_string(elements_) + " numbers, the rows before it have " +
                          std::to_string(matrix.dimension));
        }
        matrix.dimension = elements_;
        ++matrix.count;
        return true;
    }

    std::vector<Open> stack_;
    std::size_t values_ = 0;
    Capture capture_ = Capture::none;
    bool is_single_ = false;
    std::uint32_t first_row_ = 0;
    std::uint32_t elements_ = 0;
    std::string problem_;
};

}  // namespace

Result<Document> parse_document(ByteView body) {
    if (body.empty()) return Document{Json::object(), {}};
    if (body.size() > json_bytes_max) {
        return fail(ErrorCode::invalid_argument,
                    "the body has more than 256 MiB of JSON; split the batch, or send application/x-dvesp");
    }
    Builder builder;
    const bool is_whole = Json::sax_parse(body.begin(), body.end(), &builder);
    if (!is_whole) return fail(ErrorCode::invalid_argument, builder.problem());
    if (!builder.document.root.is_object()) {
        return fail(ErrorCode::invalid_argument,
                    std::string("the body must be a JSON object, got ") + builder.document.root.type_name());
    }
    return std::move(builder.document);
}

}  // namespace dvesp::api
