// figures.c: the figures of the program `bench` (gpu_bench.c), as JSON and as a table.
#include "runtime/programs/gpu_bench/bench.h"

#include <cublasLt.h>
#include <math.h>
#include <string.h>

// A kernel's share of its roofline: the least time it could take over the time it takes. Not finite
// until the device's rates are known.
static double bench_roofline(const struct bench *b, const struct bench_row *row) {
    const double compute = row->flop / b->rates.own, memory = row->bytes / b->rates.copied;
    return 1e3 * (compute > memory ? compute : memory) / row->ms;
}

struct bench_figures {
    double median, p10, p90, tokens_per_s;
    double flop, flop_llmc;      // in one step, as nanoGPT counts, and as llm.c does
    double mfu, mfu_llmc, share; // of the data sheet's peak; of the measured product
    double kernels_ms, muon_ms;  // of all kernels together, and of Muon's
    double muon_rate;            // FLOP/s of its products
    double loss[2], norm[2];     // of the first and the last step: mean loss, gradients' norm
    char driver[16], runtime[16], library[32];
};

static struct bench_figures bench_figures(const struct bench *b) {
    const struct model_info *info = b->info;
    const double micro_steps = (double)b->accumulation;
    const double tokens = micro_steps * info->batch_size * info->block_size;
    struct bench_figures f = {
        .median = bench_quantile(b->ms, b->steps, 0.5),
        .p10 = bench_quantile(b->ms, b->steps, 0.1),
        .p90 = bench_quantile(b->ms, b->steps, 0.9),
        .flop = info->flops_per_token * tokens,
        .flop_llmc = model_flops_llmc(info) * tokens,
        .loss = {b->first.total / micro_steps, b->last.total / micro_steps},
        .norm = {b->first.norm, b->last.norm},
    };
    f.tokens_per_s = tokens / f.median * 1e3;
    f.mfu = f.flop / f.median * 1e3 / b->peak;
    f.mfu_llmc = f.flop_llmc / f.median * 1e3 / b->peak;
    f.share = f.flop_llmc / f.median * 1e3 / b->rates.own;
    for (int i = 0; i < b->rows_count; i++) {
        f.kernels_ms += b->rows[i].ms;
    }
    double muon_flop = 0, products_ms = 0;
    for (int i = 0; i < b->rows_count; i++) {
        const struct bench_row *row = &b->rows[i];
        f.muon_ms += row->muon ? row->ms : 0;
        muon_flop += row->muon ? row->flop : 0;
        products_ms += row->muon && row->flop > 0 ? row->ms : 0;
    }
    f.muon_rate = products_ms > 0 ? muon_flop / products_ms * 1e3 : 0;
    snprintf(f.driver, sizeof f.driver, "%d.%d", b->driver / 1000, b->driver % 1000 / 10);
    snprintf(f.runtime, sizeof f.runtime, "%d.%d", b->runtime / 1000, b->runtime % 1000 / 10);
    snprintf(f.library, sizeof f.library, "%zu", cublasLtGetVersion());
    return f;
}

// ---- JSON ---------------------------------------------------------------------------------------

static void write_key(FILE *file, const char *key) {
    fprintf(file, ",\n  \"%s\": ", key);
}

// Writes a text, or null if it is NULL.
static void write_text(FILE *file, const char *key, const char *text) {
    write_key(file, key);
    if (text) {
        json_write_string(file, text, strlen(text));
    } else {
        fputs("null", file);
    }
}

// Writes a measured number, or null if there is none: 0, or not finite.
static void write_number(FILE *file, const char *key, double value) {
    write_key(file, key);
    json_write_number(file, value > 0 ? value : NAN);
}

// Writes a whole number with all its digits.
static void write_count(FILE *file, const char *key, double value) {
    write_key(file, key);
    fprintf(file, "%.0f", value);
}

static void write_kernels(FILE *file, const struct bench *b) {
    write_key(file, "kernels");
    if (!b->rows) {
        fputs("null", file);
        return;
    }
    for (int i = 0; i < b->rows_count; i++) {
        const struct bench_row *row = &b->rows[i];
        fprintf(file, "%s\n    {\"name\": \"%s\", \"calls\": %.6g, \"ms\": %.5f, ", i ? "," : "[",
                row->name, row->calls, row->ms);
        fprintf(file, "\"flop\": %.0f, \"bytes\": %.0f, \"roofline\": ", row->flop, row->bytes);
        json_write_number(file, bench_roofline(b, row));
        putc('}', file);
    }
    fprintf(file, "\n  ]");
}

void bench_write(const struct bench *b) {
    const struct bench_figures f = bench_figures(b);
    struct replacement out;
    replace_begin(&out, b->json);
    FILE *file = out.file;
    fprintf(file, "{\n  \"complete\": %s", b->complete ? "true" : "false");
    write_text(file, "config", b->info->config);
    write_text(file, "build", b->info->hash);
    write_text(file, "device", b->device);
    write_text(file, "driver", f.driver);
    write_text(file, "runtime", f.runtime);
    write_text(file, "cublaslt", f.library);
    write_text(file, "products", b->products);
    write_text(file, "tokens", b->tokens ? b->tokens : "uniform");
    write_count(file, "accumulation", (double)b->accumulation);
    write_count(file, "warm", (double)b->warm);
    write_count(file, "steps", (double)b->steps);
    write_count(file, "skipped", (double)b->skipped);
    write_number(file, "loss_first", f.loss[0]);
    write_number(file, "loss_last", f.loss[1]);
    write_number(file, "norm_first", f.norm[0]);
    write_number(file, "norm_last", f.norm[1]);
    write_number(file, "ms_median", f.median);
    write_number(file, "ms_p10", f.p10);
    write_number(file, "ms_p90", f.p90);
    write_number(file, "tokens_per_s", f.tokens_per_s);
    write_count(file, "flop_per_step", f.flop);
    write_count(file, "flop_per_step_llmc", f.flop_llmc);
    write_number(file, "peak_bf16_tflops", b->rates.bf16 * 1e-12);
    write_text(file, "product_type", b->rates.type);
    write_number(file, "product_tflops", b->rates.own * 1e-12);
    write_number(file, "product_size", (double)b->rates.product);
    write_number(file, "device_peak_tflops", b->peak * 1e-12);
    write_number(file, "copy_gbs", b->rates.copied * 1e-9);
    write_number(file, "copy_bytes", (double)b->rates.copy);
    write_number(file, "mfu", f.mfu);
    write_number(file, "mfu_llmc", f.mfu_llmc);
    write_number(file, "share_of_product_rate", f.share);
    write_count(file, "plan_bytes", (double)b->plan_bytes);
    write_count(file, "used_bytes", (double)b->used_bytes);
    write_kernels(file, b);
    fputs("\n}\n", file);
    replace_end(&out);
}

// ---- a table ------------------------------------------------------------------------------------

void bench_print(const struct bench *b) {
    const struct bench_figures figures = bench_figures(b), *f = &figures;
    const struct model_info *info = b->info;
    const struct bench_rates *rates = &b->rates;
    printf(
        "update: median %.3f ms, p10 %.3f, p90 %.3f (%lld of %lld micro-steps of %d x %d tokens, "
        "%lld before)\n",
        f->median, f->p10, f->p90, (long long)b->steps, (long long)b->accumulation,
        info->batch_size, info->block_size, (long long)b->warm);
    printf("mean loss %.4f in the first update, %.4f in the last; norm of the gradients %.4f and "
           "%.4f\n",
           f->loss[0], f->loss[1], f->norm[0], f->norm[1]);
    printf("%.0f tokens/s, %.4g TFLOP an update by 6N + 12LHQT, %.4g by 6N + 6LHQT with all "
           "parameters\n",
           f->tokens_per_s, f->flop * 1e-12, f->flop_llmc * 1e-12);
    if (b->peak > 0) {
        printf("mfu: %.2f%% and %.2f%% of the data sheet's dense bfloat16 peak of %.1f TFLOP/s\n",
               100 * f->mfu, 100 * f->mfu_llmc, b->peak * 1e-12);
    } else {
        printf("mfu: none, this device's peak is not known here\n");
    }
    printf("device: %.1f TFLOP/s in a product of %lld rows and columns in %s", rates->own * 1e-12,
           (long long)rates->product, rates->type);
    if (rates->own != rates->bf16) {
        printf(" (%.1f in bf16)", rates->bf16 * 1e-12);
    }
    printf(", %.0f GB/s in a copy of %zu MiB; the update is at %.1f%% of the product's rate\n",
           rates->copied * 1e-9, rates->copy >> 20, 100 * f->share);
    printf("memory: plan %zu bytes, in use on the device %zu bytes\n", b->plan_bytes,
           b->used_bytes);
    printf("kernels, launched one by one: %.3f ms an update\n", f->kernels_ms);
    if (info->muon_kernels > 0) {
        printf("muon: %.3f ms of that, %.1f%%; its Newton-Schulz products run at %.1f TFLOP/s, "
               "%.1f%% of the large product's rate\n",
               f->muon_ms, 100 * f->muon_ms / f->kernels_ms, f->muon_rate * 1e-12,
               100 * f->muon_rate / rates->own);
    }
    printf("\n");
    printf("%-52s %7s %9s %6s %8s %8s %8s\n", "kernel", "calls", "ms", "share", "TFLOP/s", "GB/s",
           "roofline");
    for (int i = 0; i < b->rows_count; i++) {
        const struct bench_row *row = &b->rows[i];
        const double ms = row->ms > 0 ? row->ms : 1e-6;
        printf("%-52s %7.0f %9.3f %5.1f%% %8.1f %8.0f %7.0f%%\n", row->name, row->calls, row->ms,
               f->kernels_ms > 0 ? 100 * row->ms / f->kernels_ms : 0, row->flop / ms * 1e-9,
               row->bytes / ms * 1e-6, 100 * bench_roofline(b, row));
    }
    printf("\nwritten: %s\n", b->json);
}
