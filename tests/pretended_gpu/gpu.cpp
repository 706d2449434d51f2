// A GPU that is pretended, for a torch that was built without CUDA: tensors on "cuda" lie in the host's memory, and the CPU's kernels
// compute on them. What it has of a GPU is what programs get wrong where there is none: operands on different devices are refused,
// and whatever would make the host wait for the device is counted, or refused when asked to. It says nothing of speed or of a GPU's numbers.
//
// Built and loaded by the package around it; functions at the end are called through ctypes.

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/NativeFunctions.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <set>
#include <sstream>
#include <string>

namespace pretended {

const c10::Device kDevice(c10::DeviceType::CUDA, 0);

// Inside a kernel: the copies of the pretence itself are not the program's.
thread_local int depth = 0;
struct Within {
  Within() { ++depth; }
  ~Within() { --depth; }
};

std::atomic<bool> strict{false};
std::atomic<long> waits{0};

void waits_for(const std::string& what) {
  if (depth > 0) return;
  ++waits;
  TORCH_CHECK(!strict, "called a synchronizing CUDA operation: ", what);
}

struct Guard final : c10::impl::DeviceGuardImplInterface {
  static constexpr c10::DeviceType static_type = c10::DeviceType::CUDA;
  c10::DeviceType type() const override { return static_type; }
  c10::Device exchangeDevice(c10::Device) const override { return kDevice; }
  c10::Device getDevice() const override { return kDevice; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device) const override { return c10::Stream(c10::Stream::DEFAULT, kDevice); }
  c10::Stream getNewStream(c10::Device device, int) const override { return getStream(device); }
  c10::Stream exchangeStream(c10::Stream stream) const override { return stream; }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  void record(void**, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void destroyEvent(void*, const c10::DeviceIndex) const noexcept override {}
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
};
C10_REGISTER_GUARD_IMPL(CUDA, Guard);

void* allocate(size_t size) {
  void* place = nullptr;
  TORCH_CHECK(posix_memalign(&place, 64, size + 64) == 0, "out of memory");
  return place;
}

struct Allocator final : c10::Allocator {
  c10::DataPtr allocate(size_t size) override {
    void* place = size ? pretended::allocate(size) : nullptr;
    return {place, place, &std::free, kDevice};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &std::free; }
  void copy_data(void* to, const void* from, size_t size) const override { std::memcpy(to, from, size); }
};
Allocator allocator;
REGISTER_ALLOCATOR(c10::DeviceType::CUDA, &allocator);

// The same memory, seen as the CPU's.
at::Tensor as_host(const at::Tensor& tensor) {
  if (!tensor.is_cuda()) return tensor;
  static char nothing[64];
  const auto& storage = tensor.storage();
  void* place = storage.mutable_data() ? storage.mutable_data() : nothing;
  const auto elements = static_cast<int64_t>(storage.nbytes() / tensor.dtype().itemsize());
  auto flat = at::from_blob(place, {elements}, at::TensorOptions().dtype(tensor.dtype()));
  return flat.as_strided(tensor.sizes(), tensor.strides(), tensor.storage_offset());
}

using Sizes = c10::SymIntArrayRef;

at::Tensor empty(Sizes sizes, std::optional<at::ScalarType> dtype, std::optional<at::Layout>, std::optional<at::Device>,
                 std::optional<bool>, std::optional<at::MemoryFormat> format) {
  const c10::DispatchKeySet keys(c10::DispatchKey::CUDA);
  return at::detail::empty_generic(C10_AS_INTARRAYREF_SLOW(sizes), &allocator, keys, c10::dtype_or_default(dtype), format);
}

at::Tensor empty_strided(Sizes sizes, Sizes strides, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                         std::optional<at::Device>, std::optional<bool>) {
  const c10::DispatchKeySet keys(c10::DispatchKey::CUDA);
  return at::detail::empty_strided_generic(C10_AS_INTARRAYREF_SLOW(sizes), C10_AS_INTARRAYREF_SLOW(strides), &allocator, keys,
                                           c10::dtype_or_default(dtype));
}

at::Tensor as_strided(const at::Tensor& self, Sizes sizes, Sizes strides, std::optional<c10::SymInt> offset) {
  const auto start = offset ? std::optional<int64_t>(offset->expect_int()) : std::nullopt;
  return at::native::as_strided_tensorimpl(self, C10_AS_INTARRAYREF_SLOW(sizes), C10_AS_INTARRAYREF_SLOW(strides), start);
}

at::Tensor reshape_alias(const at::Tensor& self, Sizes sizes, Sizes strides) {
  return at::native::as_strided_tensorimpl(self, C10_AS_INTARRAYREF_SLOW(sizes), C10_AS_INTARRAYREF_SLOW(strides), self.storage_offset());
}

at::Tensor view(const at::Tensor& self, Sizes sizes) { return at::native::view(self, C10_AS_INTARRAYREF_SLOW(sizes)); }

at::Tensor unfold(const at::Tensor& self, int64_t dimension, int64_t size, int64_t step) {
  return at::native::unfold(self, dimension, size, step);
}

const at::Tensor& resize(const at::Tensor& self, Sizes sizes, std::optional<at::MemoryFormat>) {
  const auto wanted = C10_AS_INTARRAYREF_SLOW(sizes);
  auto* tensor = self.unsafeGetTensorImpl();
  const size_t needed = (c10::multiply_integers(wanted) + tensor->storage_offset()) * self.dtype().itemsize();
  const auto storage = self.storage();
  if (storage.nbytes() < needed) {
    auto place = allocator.allocate(needed);
    if (storage.nbytes() > 0) std::memcpy(place.get(), storage.data(), storage.nbytes());
    storage.unsafeGetStorageImpl()->set_data_ptr_noswap(std::move(place));
    storage.unsafeGetStorageImpl()->set_nbytes(needed);
  }
  tensor->set_sizes_contiguous(wanted);
  return self;
}

// Copies to the host end in numbers that it reads, so that those wait in any case; to the device those wait that are not queued.
at::Tensor& copy(at::Tensor& self, const at::Tensor& source, bool queued) {
  if (self.is_cuda() && !source.is_cuda() && !queued) waits_for("copy to the device");
  if (!self.is_cuda() && source.is_cuda()) waits_for("copy to the host");
  const at::AutoDispatchBelowADInplaceOrView below;
  const Within within;
  auto here = as_host(self);
  here.copy_(as_host(source).expand(here.sizes()));
  return self;
}

at::Tensor copy_from(const at::Tensor& source, const at::Tensor& self, bool queued) {
  auto target = self;
  return copy(target, source, queued);
}

at::Tensor copy_from_and_resize(const at::Tensor& source, const at::Tensor& self) {
  if (source.sizes() != self.sizes()) const_cast<at::Tensor&>(self).resize_(source.sizes());
  return copy_from(source, self, false);
}

at::Scalar item(const at::Tensor& self) {
  waits_for("item");
  const Within within;
  return at::_local_scalar_dense(as_host(self));
}

// Attention by its formula: the fused kernels of the CPU have other names.
int64_t attention(const at::Tensor&, const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, double, bool,
                  std::optional<double>, bool) {
  return 0;
}

// Operations that take indices from either device, and those whose result has a size that the host has to know.
const std::set<std::string> kTakesEither{"aten::index.Tensor", "aten::index.Tensor_out", "aten::index_put", "aten::index_put_",
                                         "aten::_index_put_impl_", "aten::_unsafe_index.Tensor"};
const std::set<std::string> kWaits{"aten::nonzero", "aten::masked_select", "aten::_unique2", "aten::unique_dim", "aten::unique_consecutive",
                                   "aten::repeat_interleave.Tensor", "aten::bincount", "aten::equal", "aten::histc",
                                   "aten::_linalg_check_errors"};

struct Operands {
  bool device = false;
  std::ostringstream host;

  void see(const at::Tensor& tensor) {
    if (!tensor.defined()) return;
    if (tensor.is_cuda()) device = true;
    else if (tensor.dim() > 0) host << " " << tensor.dtype() << tensor.sizes();
  }
  void see(const c10::IValue& value) {
    if (value.isTensor()) see(value.toTensor());
    else if (value.isList()) for (const c10::IValue each : value.toListRef()) see(each);
  }
};

void compute(const c10::OperatorHandle& operation, torch::jit::Stack* stack) {
  const auto name = c10::toString(operation.operator_name());
  if (kWaits.count(name)) waits_for(name);
  Operands found;
  for (auto value = stack->end() - operation.schema().arguments().size(); value != stack->end(); ++value) found.see(*value);
  const auto elsewhere = found.host.str();
  TORCH_CHECK(depth > 0 || !found.device || elsewhere.empty() || kTakesEither.count(name),
              "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! (", name, ", on the CPU:",
              elsewhere, ")");
  const Within within;
  at::native::cpu_fallback(operation, stack);
}

}  // namespace pretended

namespace at {
// The name is the one under which torch looks for it.
struct CUDAHooks final : CUDAHooksInterface {
  explicit CUDAHooks(CUDAHooksArgs) {}
  void init() const override {}
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasCUDA() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  int getNumGPUs() const override { return 1; }
  c10::DeviceIndex current_device() const override { return 0; }
  void setCurrentDevice(c10::DeviceIndex) const override {}
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex) const override { return 0; }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex) const override { return 0; }
};
REGISTER_CUDA_HOOKS(CUDAHooks)
}  // namespace at

TORCH_LIBRARY_IMPL(_, CUDA, library) { library.fallback(torch::CppFunction::makeFromBoxedFunction<&pretended::compute>()); }

TORCH_LIBRARY_IMPL(aten, CUDA, library) {
  library.impl("empty.memory_format", pretended::empty);
  library.impl("empty_strided", pretended::empty_strided);
  library.impl("as_strided", pretended::as_strided);
  library.impl("_reshape_alias", pretended::reshape_alias);
  library.impl("view", pretended::view);
  library.impl("unfold", pretended::unfold);
  library.impl("resize_", pretended::resize);
  library.impl("copy_", pretended::copy);
  library.impl("_copy_from", pretended::copy_from);
  library.impl("_copy_from_and_resize", pretended::copy_from_and_resize);
  library.impl("_local_scalar_dense", pretended::item);
  library.impl("_fused_sdp_choice", pretended::attention);
}

extern "C" {
void pretended_gpu_refuse_waiting(bool on) { pretended::strict = on; }
long pretended_gpu_waits() { return pretended::waits; }
}
