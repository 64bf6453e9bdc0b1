# cmake/dependencies.cmake - the libraries of other people, each as one target with system headers (their warnings are not ours).
# Where they come from: tools/debian-packages.txt; hnswlib: tools/requirements/hnswlib.txt, unpacked by tools/setup.
find_package(OpenSSL 3.0 REQUIRED COMPONENTS Crypto SSL)
find_package(Threads REQUIRED)
find_package(CURL 7.88 REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)

# Adds the target `name` for a directory of headers that contains `header`, and its library where there is one.
function(dvesp_headers name header)
    cmake_parse_arguments(PARSE_ARGV 2 arg "" "LIBRARY" "HINTS")
    string(TOUPPER "${name}_INCLUDE" include_variable)
    find_path(${include_variable} "${header}" HINTS ${arg_HINTS} REQUIRED)
    add_library(dvesp_${name} INTERFACE)
    target_include_directories(dvesp_${name} SYSTEM INTERFACE "${${include_variable}}")
    if(arg_LIBRARY)
        string(TOUPPER "${name}_LIBRARY" library_variable)
        find_library(${library_variable} "${arg_LIBRARY}" REQUIRED)
        target_link_libraries(dvesp_${name} INTERFACE "${${library_variable}}")
    endif()
endfunction()

dvesp_headers(expected tl/expected.hpp)
dvesp_headers(xxhash xxhash.h)
dvesp_headers(roaring roaring/roaring.h LIBRARY roaring)
if(DVESP_TESTS)
    dvesp_headers(hnswlib hnswlib/hnswlib.h HINTS "${CMAKE_SOURCE_DIR}/.venv/include")  # the bar for our own graphs
endif()
