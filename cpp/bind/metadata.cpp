/// bind/metadata.cpp - walks Python objects once, writing CBOR; and builds Python objects from CBOR.
#include "bind/metadata.hpp"

#include <cmath>

#include "bind/errors.hpp"
#include "codec/cbor.hpp"

namespace py = pybind11;

namespace dvesp::bind {
namespace {

namespace cbor = codec::cbor;

std::string type_name(py::handle value) { return Py_TYPE(value.ptr())->tp_name; }

void encode_integer(codec::Writer& out, py::handle value, const std::string& where) {
    int overflow = 0;
    const long long number = PyLong_AsLongLongAndOverflow(value.ptr(), &overflow);
    if (overflow == 0) return cbor::write_signed(out, number);
    const unsigned long long large = overflow > 0 ? PyLong_AsUnsignedLongLong(value.ptr()) : 0;
    const bool failed = overflow < 0 || PyErr_Occurred() != nullptr;
    PyErr_Clear();
    if (failed) refuse(where + ": an integer does not fit in 64 bits; store it as a string");
    cbor::write_unsigned(out, large);
}

void encode_item(codec::Writer& out, py::handle value, const std::string& where, int depth);

void encode_map(codec::Writer& out, py::handle value, const std::string& where, int depth) {
    const auto map = py::reinterpret_borrow<py::dict>(value);
    cbor::write_map(out, map.size());
    std::size_t written = 0;
    for (const auto& [key, item] : map) {
        if (!PyUnicode_Check(key.ptr())) refuse(where + ": keys must be str, got " + type_name(key));
        const std::string_view name = utf8_of(key, where + ": a key");
        cbor::write_text(out, name);
        encode_item(out, item, where, depth + 1);
        ++written;
    }
    if (written != map.size()) refuse(where + ": the dict changed while it was read");
}

void encode_list(codec::Writer& out, py::handle value, const std::string& where, int depth) {
    const auto items = py::reinterpret_borrow<py::sequence>(value);
    const std::size_t count = items.size();
    cbor::write_array(out, count);
    for (std::size_t index = 0; index < count; ++index) {
        const py::object item = items[index];
        encode_item(out, item, where, depth + 1);
    }
}

void encode_item(codec::Writer& out, py::handle value, const std::string& where, int depth) {
    if (depth > cbor::depth_max)
        refuse(where + ": nested deeper than " + std::to_string(cbor::depth_max) + " levels; flatten it");
    PyObject* object = value.ptr();
    if (object == Py_None) return cbor::write_null(out);
    if (PyBool_Check(object)) return cbor::write_boolean(out, object == Py_True);
    if (PyLong_Check(object)) return encode_integer(out, value, where);
    if (PyFloat_Check(object)) {
        const double number = PyFloat_AsDouble(object);
        if (!std::isfinite(number)) refuse(where + ": NaN and infinity are not JSON; use None");
        return cbor::write_real(out, number);
    }
    if (PyUnicode_Check(object)) return cbor::write_text(out, utf8_of(value, where));
    if (PyDict_Check(object)) return encode_map(out, value, where, depth);
    if (PyList_Check(object) || PyTuple_Check(object)) return encode_list(out, value, where, depth);
    if (PyIndex_Check(object) != 0) {  // NumPy integers
        const auto number = py::reinterpret_steal<py::object>(PyNumber_Index(object));
        if (number) return encode_integer(out, number, where);
        PyErr_Clear();
    }
    refuse(where + ": a value of type " + type_name(value) + " is not JSON; use str, int, float, bool, None, list or dict");
}

py::object decode_item(codec::Reader& reader) {
    const cbor::Item item = cbor::read(reader);
    switch (item.kind) {
        case cbor::Kind::boolean:
            return py::bool_(item.boolean);
        case cbor::Kind::integer:
            if (!item.negative) return py::int_(item.magnitude);
            return py::int_(-1 - static_cast<std::int64_t>(item.magnitude));
        case cbor::Kind::real:
            return py::float_(item.real);
        case cbor::Kind::text:
            return text_of_bytes(item.text);
        case cbor::Kind::array: {
            py::list list;
            for (std::uint64_t index = 0; index < item.count; ++index) list.append(decode_item(reader));
            return list;
        }
        case cbor::Kind::map: {
            py::dict map;
            for (std::uint64_t index = 0; index < item.count; ++index) {
                const std::string_view key = cbor::read(reader).text;
                map[text_of_bytes(key)] = decode_item(reader);
            }
            return map;
        }
        default:
            return py::none();
    }
}

}  // namespace

std::string_view utf8_of(py::handle text, const std::string& where) {
    if (!PyUnicode_Check(text.ptr())) refuse(where + ": must be str, got " + type_name(text));
    Py_ssize_t size = 0;
    const char* bytes = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
    if (bytes == nullptr) {
        PyErr_Clear();
        refuse(where + ": the text has lone surrogates and is not valid Unicode");
    }
    return {bytes, static_cast<std::size_t>(size)};
}

py::str text_of_bytes(std::string_view bytes) {
    return py::reinterpret_steal<py::str>(PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "replace"));
}

void encode_value(codec::Writer& out, py::handle value, const std::string& where) { encode_item(out, value, where, 0); }

py::object decode_value(ByteView bytes) {
    if (bytes.empty()) return py::none();
    codec::Reader reader(bytes);
    return decode_item(reader);
}

std::vector<ByteView> EncodedMetadata::views() {
    std::vector<ByteView> out;
    std::size_t start = 0;
    for (const std::size_t end : ends) {
        out.push_back(ByteView(arena.bytes()).subspan(start, end - start));
        start = end;
    }
    return out;
}

EncodedMetadata encode_metadata(const py::list& rows) {
    EncodedMetadata encoded;
    encoded.ends.reserve(rows.size());
    for (std::size_t row = 0; row < rows.size(); ++row) {
        const py::object value = rows[row];
        if (!value.is_none()) {
            const std::string where = "metadata: row " + std::to_string(row);
            if (!PyDict_Check(value.ptr())) refuse(where + ": must be a dict or None, got " + type_name(value));
            encode_value(encoded.arena, value, where);
        }
        encoded.ends.push_back(encoded.arena.bytes().size());
    }
    return encoded;
}

std::vector<std::string_view> EncodedTexts::views() const {
    std::vector<std::string_view> out;
    std::size_t start = 0;
    for (const std::size_t end : ends) {
        out.push_back(std::string_view(arena).substr(start, end - start));
        start = end;
    }
    return out;
}

EncodedTexts encode_texts(const py::list& texts, const char* field) {
    EncodedTexts encoded;
    encoded.ends.reserve(texts.size());
    for (std::size_t row = 0; row < texts.size(); ++row) {
        const py::object text = texts[row];
        encoded.arena += utf8_of(text, std::string(field) + ": row " + std::to_string(row));
        encoded.ends.push_back(encoded.arena.size());
    }
    return encoded;
}

}  // namespace dvesp::bind
