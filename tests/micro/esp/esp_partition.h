#ifndef TESTS_MICRO_ESP_ESP_PARTITION_H_
#define TESTS_MICRO_ESP_ESP_PARTITION_H_

// In place of ESP-IDF's header of that name: one data partition, "spiffs", that
// refuses what real flash does not bear. Written by its documentation.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef int esp_err_t;
const esp_err_t ESP_OK = 0;
const esp_err_t ESP_FAIL = -1;

enum esp_partition_type_t { ESP_PARTITION_TYPE_DATA = 1 };
enum esp_partition_subtype_t { ESP_PARTITION_SUBTYPE_ANY = 0xFF };

struct esp_partition_t {
  uint32_t size;
};

const uint32_t kEspSector = 4096;
const uint32_t kEspUnit = 16;
const esp_partition_t esp_partition = {8 * kEspSector};
static uint8_t esp_bytes[8 * kEspSector];

inline bool EspInside(size_t offset, size_t size, size_t unit) {
  return size <= esp_partition.size && offset <= esp_partition.size - size &&
         offset % unit == 0 && size % unit == 0;
}

inline const esp_partition_t* esp_partition_find_first(esp_partition_type_t,
                                                       esp_partition_subtype_t,
                                                       const char* label) {
  return strcmp(label, "spiffs") == 0 ? &esp_partition : nullptr;
}

inline esp_err_t esp_partition_read(const esp_partition_t*, size_t offset,
                                    void* bytes, size_t size) {
  if (!EspInside(offset, size, 1)) return ESP_FAIL;
  memcpy(bytes, esp_bytes + offset, size);
  return ESP_OK;
}

inline esp_err_t esp_partition_erase_range(const esp_partition_t*,
                                           size_t offset, size_t size) {
  if (!EspInside(offset, size, kEspSector)) return ESP_FAIL;
  memset(esp_bytes + offset, 0xFF, size);
  return ESP_OK;
}

inline esp_err_t esp_partition_write(const esp_partition_t*, size_t offset,
                                     const void* bytes, size_t size) {
  if (!EspInside(offset, size, kEspUnit)) return ESP_FAIL;
  for (size_t i = 0; i < size; ++i) {
    if (esp_bytes[offset + i] != 0xFF) return ESP_FAIL;
  }
  memcpy(esp_bytes + offset, bytes, size);
  return ESP_OK;
}

#endif  // TESTS_MICRO_ESP_ESP_PARTITION_H_
