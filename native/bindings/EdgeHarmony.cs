// libedgeharmony for C#: for Unity, put this file into Assets and the library into Assets/Plugins; see docs/c-library.md.
using System;
using System.Runtime.InteropServices;
using System.Text;

namespace EdgeHarmony
{
    public enum Status { Ok = 0, Argument = 1, Image = 2, Model = 3, Runtime = 4, Memory = 5 }

    public enum PixelFormat { Bgr = 1, Rgb = 2, Bgra = 3, Rgba = 4, Nv12 = 5, I420 = 6, Grey = 7 }

    public enum Colour { Auto = 0, Bt601Limited = 1, Bt601Full = 2, Bt709Limited = 3, Bt709Full = 4 }

    public enum Setting
    {
        Strength = 1, Smoothing = 2, DeadBand = 3, LightWrap = 4, Grain = 5, Fit = 6, Premultiplied = 7, Estimate = 8,
        Still = 9
    }

    /// <summary>eh_image. The memory must stay where it is for the length of the call: pinned, or native.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct Image
    {
        public PixelFormat Format;
        public int Width, Height;
        public Colour Colour;
        public IntPtr Plane0, Plane1, Plane2;
        public long Stride0, Stride1, Stride2;

        /// <summary>One plane. Unity's textures begin with their lowest row: pass lowestRowFirst.</summary>
        public static Image Of(PixelFormat format, int width, int height, IntPtr pixels, bool lowestRowFirst = false)
        {
            int bytes = format == PixelFormat.Grey ? 1 : format == PixelFormat.Bgr || format == PixelFormat.Rgb ? 3 : 4;
            long stride = (long)width * bytes;
            var image = new Image { Format = format, Width = width, Height = height, Plane0 = pixels, Stride0 = stride };
            if (lowestRowFirst)
            {
                image.Plane0 = new IntPtr(pixels.ToInt64() + (height - 1) * stride);
                image.Stride0 = -stride;
            }
            return image;
        }
    }

    public sealed class HarmonyException : Exception
    {
        public Status Status { get; }
        public HarmonyException(Status status, string message) : base(message) { Status = status; }
    }

    /// <summary>One stream of frames; from one thread at a time.</summary>
    public sealed class HarmonyStream : IDisposable
    {
        public const double NoTime = -1.0;

        private IntPtr handle;

        /// <summary>Open the models, given by their bytes (as a TextAsset has them) or null. Where ONNX Runtime is linked
        /// into the application, onnxRuntimeApiBase is what its OrtGetApiBase() returns.</summary>
        public HarmonyStream(byte[] model, byte[] matte = null, string onnxRuntimePath = null, int threads = 0,
                             IntPtr onnxRuntimeApiBase = default(IntPtr))
        {
            var options = new Options();
            var size = (UIntPtr)Marshal.SizeOf(typeof(Options));
            Native.eh_options_init(ref options, size);
            GCHandle modelMemory = Pin(model), matteMemory = Pin(matte);
            IntPtr path = Utf8(onnxRuntimePath);
            try
            {
                options.ModelBytes = Address(modelMemory);
                options.ModelSize = (UIntPtr)(model == null ? 0 : model.Length);
                options.MatteBytes = Address(matteMemory);
                options.MatteSize = (UIntPtr)(matte == null ? 0 : matte.Length);
                options.OnnxRuntimePath = path;
                options.OnnxRuntimeApiBase = onnxRuntimeApiBase;
                options.Threads = threads;
                var message = new byte[1024];
                var status = Native.eh_open(ref options, out handle, message, (UIntPtr)message.Length);
                if (status != Status.Ok) throw new HarmonyException(status, Text(message));
            }
            finally
            {
                if (modelMemory.IsAllocated) modelMemory.Free();
                if (matteMemory.IsAllocated) matteMemory.Free();
                if (path != IntPtr.Zero) Marshal.FreeHGlobal(path);
            }
        }

        public void Set(Setting setting, double value) { Check(Native.eh_set(handle, setting, value)); }

        public void Reset() { Check(Native.eh_reset(handle)); }

        /// <summary>Composite and harmonize one frame, with its alpha given.</summary>
        public void Process(Image frame, Image alpha, Image background, Image output, double seconds = NoTime)
        {
            Check(Native.eh_process(handle, ref frame, ref alpha, ref background, ref output, seconds));
        }

        /// <summary>The same; the matting model finds the alpha, or it is the frame's own.</summary>
        public void Process(Image frame, Image background, Image output, double seconds = NoTime)
        {
            Check(Native.eh_process(handle, ref frame, IntPtr.Zero, ref background, ref output, seconds));
        }

        /// <summary>The harmonized subject alone, with its alpha: output is Bgra or Rgba.</summary>
        public void CutOut(Image frame, Image alpha, Image background, Image output, double seconds = NoTime)
        {
            Check(Native.eh_cut_out(handle, ref frame, ref alpha, ref background, ref output, seconds));
        }

        /// <summary>The same, with the frame's own alpha or the matting model's.</summary>
        public void CutOut(Image frame, Image background, Image output, double seconds = NoTime)
        {
            Check(Native.eh_cut_out(handle, ref frame, IntPtr.Zero, ref background, ref output, seconds));
        }

        public void Dispose()
        {
            if (handle != IntPtr.Zero) Native.eh_close(handle);
            handle = IntPtr.Zero;
        }

        public static string Version
        {
            get { return Marshal.PtrToStringAnsi(Native.eh_version()); }
        }

        private void Check(Status status)
        {
            if (status != Status.Ok) throw new HarmonyException(status, Marshal.PtrToStringAnsi(Native.eh_error(handle)));
        }

        private static GCHandle Pin(byte[] bytes)
        {
            return bytes == null ? default(GCHandle) : GCHandle.Alloc(bytes, GCHandleType.Pinned);
        }

        private static IntPtr Address(GCHandle memory)
        {
            return memory.IsAllocated ? memory.AddrOfPinnedObject() : IntPtr.Zero;
        }

        private static IntPtr Utf8(string text)
        {
            if (text == null) return IntPtr.Zero;
            var bytes = Encoding.UTF8.GetBytes(text + "\0");
            var memory = Marshal.AllocHGlobal(bytes.Length);
            Marshal.Copy(bytes, 0, memory, bytes.Length);
            return memory;
        }

        private static string Text(byte[] message)
        {
            return Encoding.UTF8.GetString(message, 0, Math.Max(0, Array.IndexOf(message, (byte)0)));
        }
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct Options
    {
        public UIntPtr Size;
        public IntPtr ModelPath, ModelBytes;
        public UIntPtr ModelSize;
        public IntPtr MattePath, MatteBytes;
        public UIntPtr MatteSize;
        public IntPtr OnnxRuntimeApiBase, OnnxRuntimePath;
        public int Threads;
    }

    internal static class Native
    {
#if UNITY_IOS && !UNITY_EDITOR
        private const string Library = "__Internal"; // linked into the application
#else
        private const string Library = "edgeharmony";
#endif
        private const CallingConvention C = CallingConvention.Cdecl;

        [DllImport(Library, CallingConvention = C)] internal static extern IntPtr eh_version();
        [DllImport(Library, CallingConvention = C)]
        internal static extern void eh_options_init(ref Options options, UIntPtr size);
        [DllImport(Library, CallingConvention = C)]
        internal static extern Status eh_open(ref Options options, out IntPtr stream, byte[] message, UIntPtr size);
        [DllImport(Library, CallingConvention = C)] internal static extern void eh_close(IntPtr stream);
        [DllImport(Library, CallingConvention = C)] internal static extern IntPtr eh_error(IntPtr stream);
        [DllImport(Library, CallingConvention = C)]
        internal static extern Status eh_set(IntPtr stream, Setting setting, double value);
        [DllImport(Library, CallingConvention = C)] internal static extern Status eh_reset(IntPtr stream);
        [DllImport(Library, CallingConvention = C)]
        internal static extern Status eh_process(IntPtr stream, ref Image frame, ref Image alpha, ref Image background,
                                                 ref Image output, double seconds);
        [DllImport(Library, CallingConvention = C)]
        internal static extern Status eh_process(IntPtr stream, ref Image frame, IntPtr alpha, ref Image background,
                                                 ref Image output, double seconds);
        [DllImport(Library, CallingConvention = C)]
        internal static extern Status eh_cut_out(IntPtr stream, ref Image frame, ref Image alpha, ref Image background,
                                                 ref Image output, double seconds);
        [DllImport(Library, CallingConvention = C)]
        internal static extern Status eh_cut_out(IntPtr stream, ref Image frame, IntPtr alpha, ref Image background,
                                                 ref Image output, double seconds);
    }
}
