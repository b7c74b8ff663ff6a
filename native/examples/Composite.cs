// A subject over a background, harmonized, in C#: see composite.c. With Mono: mcs Composite.cs ../bindings/EdgeHarmony.cs
using System;
using System.IO;
using System.Runtime.InteropServices;
using EdgeHarmony;

public static class Composite
{
    public static int Main(string[] words)
    {
        if (words.Length != 7)
        {
            Console.Error.WriteLine("usage: Composite MODEL.onnx WIDTH HEIGHT FRAME ALPHA BACKGROUND OUT");
            return 2;
        }
        int width = int.Parse(words[1]), height = int.Parse(words[2]);
        byte[][] files = { File.ReadAllBytes(words[3]), File.ReadAllBytes(words[4]), File.ReadAllBytes(words[5]),
                           new byte[3 * width * height] };
        var held = Array.ConvertAll(files, bytes => GCHandle.Alloc(bytes, GCHandleType.Pinned));
        try
        {
            var images = new Image[4];
            for (int i = 0; i < 4; i++)
                images[i] = Image.Of(i == 1 ? PixelFormat.Grey : PixelFormat.Bgr, width, height,
                                     held[i].AddrOfPinnedObject());
            using (var stream = new HarmonyStream(File.ReadAllBytes(words[0])))
                stream.Process(images[0], images[1], images[2], images[3]);
            File.WriteAllBytes(words[6], files[3]);
            return 0;
        }
        catch (HarmonyException error)
        {
            Console.Error.WriteLine("error: " + error.Message);
            return 1;
        }
        finally
        {
            foreach (var memory in held) memory.Free();
        }
    }
}
