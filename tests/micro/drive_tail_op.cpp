// Runs two operators `TinyTrainTail` of one graph through their lives, with an
// interpreter that knows nothing else. For each generation of headers.
//   drive_tail_op FOLDER EXAMPLES CLASSES STEPS
// reads options, blob, features (int8 of all examples) and labels (int8), and
// prints the bits of losses and logits, of one operator and of both in turns.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tinytrain/tflm/tail_op.h"

namespace tflite {
namespace micro {
namespace tinytrain_op {
namespace {

struct File {
  char* bytes;
  int size;
};

File Read(const char* folder, const char* name) {
  char path[1000];
  snprintf(path, sizeof(path), "%s/%s", folder, name);
  FILE* const file = fopen(path, "rb");
  if (file == nullptr) exit(2);
  fseek(file, 0, SEEK_END);
  const int size = static_cast<int>(ftell(file));
  rewind(file);
  File read = {static_cast<char*>(malloc(size)), size};
  if (fread(read.bytes, 1, size, file) != static_cast<size_t>(size)) exit(2);
  fclose(file);
  return read;
}

TfLiteIntArray* Dimensions(int size) {
  // One number behind the size.
  int* const numbers = static_cast<int*>(malloc(sizeof(TfLiteIntArray)));
  numbers[0] = 1;
  numbers[1] = size;
  return reinterpret_cast<TfLiteIntArray*>(numbers);
}

TfLiteIntArray* Three(int first) {
  int* const numbers =
      static_cast<int*>(malloc(sizeof(TfLiteIntArray) + 3 * sizeof(int)));
  numbers[0] = 3;
  for (int i = 0; i < 3; ++i) numbers[1 + i] = first + i;
  return reinterpret_cast<TfLiteIntArray*>(numbers);
}

// Memory and tensors of one operator.
struct State {
  TfLiteEvalTensor tensors[6];
  void* scratch;
};

void* TakeMemory(size_t bytes) { return malloc(bytes); }

#if TINYTRAIN_TFLM == 1
State* Of(const TfLiteContext* context) {
  return static_cast<State*>(context->impl_);
}
void Report(TfLiteContext*, const char*, ...) {}
void* Persistent(TfLiteContext*, size_t bytes) { return TakeMemory(bytes); }
TfLiteStatus Request(TfLiteContext* context, size_t bytes, int* number) {
  Of(context)->scratch = TakeMemory(bytes);
  *number = 0;
  return kTfLiteOk;
}
void* Get(TfLiteContext* context, int) { return Of(context)->scratch; }
TfLiteEvalTensor* GetTensor(const TfLiteContext* context, int number) {
  return &Of(context)->tensors[number];
}
TfLiteContext* NewContext(State* state) {
  TfLiteContext* const context = new TfLiteContext();
  context->impl_ = state;
  context->ReportError = Report;
  context->AllocatePersistentBuffer = Persistent;
  context->RequestScratchBufferInArena = Request;
  context->GetScratchBuffer = Get;
  context->GetEvalTensor = GetTensor;
  return context;
}
#else
class Memory : public MicroContext {
 public:
  explicit Memory(State* state) : state_(state) {}
  void* AllocatePersistentBuffer(size_t bytes) override {
    return TakeMemory(bytes);
  }
  TfLiteStatus RequestScratchBufferInArena(size_t bytes, int* number) override {
    state_->scratch = TakeMemory(bytes);
    *number = 0;
    return kTfLiteOk;
  }
  void* GetScratchBuffer(int) override { return state_->scratch; }
  void* AllocateTempTfLiteTensor(int) override { abort(); }
  void DeallocateTempTfLiteTensor(void*) override { abort(); }
  uint8_t* AllocateTempBuffer(size_t, size_t) override { abort(); }
  void DeallocateTempBuffer(uint8_t*) override { abort(); }
  TfLiteEvalTensor* GetEvalTensor(int number) override {
    return &state_->tensors[number];
  }

 private:
  State* const state_;
};
TfLiteContext* NewContext(State* state) {
  TfLiteContext* const context = new TfLiteContext();
  context->impl_ = static_cast<MicroContext*>(new Memory(state));
  return context;
}
#endif

class Graph {
 public:
  Graph(const File& options, const File& blob, int features, int classes)
      : state_(), context_(NewContext(&state_)), node_() {
    const TfLiteType types[] = {kTfLiteInt8,    kTfLiteInt32,   kTfLiteInt8,
                                kTfLiteFloat32, kTfLiteFloat32, kTfLiteInt32};
    const int sizes[] = {features, 2, blob.size, classes, 1, 8};
    for (int i = 0; i < 6; ++i) {
      state_.tensors[i].type = types[i];
      state_.tensors[i].dims = Dimensions(sizes[i]);
      state_.tensors[i].data.int8 = static_cast<int8_t*>(malloc(4 * sizes[i]));
    }
    memcpy(state_.tensors[2].data.int8, blob.bytes, blob.size);
    node_.inputs = Three(0);
    node_.outputs = Three(3);
    // What a resolver would keep.
    if (!tinytrain::RegisterTail(*this)) exit(3);
    node_.user_data = registration_.init(context_, options.bytes, options.size);
    if (registration_.prepare(context_, &node_) != kTfLiteOk) exit(4);
  }

  TfLiteStatus AddCustom(const char* name, Registration* registration) {
    registration_ = *registration;
    return strcmp(name, "TinyTrainTail") == 0 ? kTfLiteOk : kTfLiteError;
  }

  // Returns the loss.
  float Run(int phase, int label, const char* features) {
    const int count = state_.tensors[0].dims->data[0];
    memcpy(state_.tensors[0].data.int8, features, count);
    state_.tensors[1].data.i32[0] = phase;
    state_.tensors[1].data.i32[1] = label;
    if (registration_.invoke(context_, &node_) != kTfLiteOk) exit(5);
    const int32_t* const status = state_.tensors[5].data.i32;
    if (status[0] != 0) {
      printf("phase %d: code %d\n", phase, static_cast<int>(status[0]));
      exit(6);
    }
    if (tinytrain::TailOf(status) == nullptr) exit(7);
    return state_.tensors[4].data.f[0];
  }

  void PrintLogits() const {
    for (int i = 0; i < state_.tensors[3].dims->data[0]; ++i) {
      printf(" %.9g", static_cast<double>(state_.tensors[3].data.f[i]));
    }
    printf("\n");
  }

 private:
  State state_;
  TfLiteContext* const context_;
  TfLiteNode node_;
  Registration registration_;
};

int Main(int argc, char** argv) {
  if (argc != 5) return 1;
  const int count = atoi(argv[2]);
  const int classes = atoi(argv[3]);
  const File options = Read(argv[1], "options");
  const File blob = Read(argv[1], "blob");
  const File features = Read(argv[1], "features");
  const File labels = Read(argv[1], "labels");
  const int size = features.size / count;
  // The first round has one operator at work, the second one both.
  for (int graphs = 1; graphs <= 2; ++graphs) {
    Graph one(options, blob, size, classes), two(options, blob, size, classes);
    Graph* const all[] = {&one, &two};
    const int each[] = {1, 2};  // Observe, score.
    for (int phase : each) {
      for (int i = 0; i < count; ++i) {
        for (int g = 0; g < graphs; ++g) {
          // The second one has another task.
          const int label = g == 0 ? labels.bytes[i] : i % 2;
          all[g]->Run(phase, label, features.bytes + i * size);
        }
      }
    }
    for (int g = 0; g < graphs; ++g) all[g]->Run(3, 0, features.bytes);
    for (int step = 0; step < atoi(argv[4]); ++step) {
      for (int i = 0; i < count; ++i) {
        for (int g = 0; g < graphs; ++g) {
          const int label = g == 0 ? labels.bytes[i] : i % 2;
          const float loss = all[g]->Run(4, label, features.bytes + i * size);
          if (g == 0) printf("%.9g\n", static_cast<double>(loss));
        }
      }
      for (int g = 0; g < graphs; ++g) all[g]->Run(5, 0, features.bytes);
    }
    one.Run(0, 0, features.bytes);
    one.PrintLogits();
  }
  return 0;
}

}  // namespace
}  // namespace tinytrain_op
}  // namespace micro
}  // namespace tflite

int main(int argc, char** argv) {
  return tflite::micro::tinytrain_op::Main(argc, argv);
}
