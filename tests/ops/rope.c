// rope.c: rotary positions as complex numbers: a pair of columns times e^(i t rate).
#include "tests/ops/harness.h"

#include <complex.h>
#include <math.h>

reference_fn rope_table_reference, rope_reference;

// A rate as Llama 3.1 has it, by the wavelength: the cases as transformers writes them.
static double slowed(const struct op *op, double rate) {
    const double wavelength = 2 * acos(-1.0) / rate;
    if (op->factor == 1 || wavelength < op->original / op->high) {
        return rate;
    }
    if (wavelength > op->original / op->low) {
        return rate / op->factor;
    }
    const double smooth = (op->original / wavelength - op->low) / (op->high - op->low);
    return (1 - smooth) * rate / op->factor + smooth * rate;
}

// table (N, D): the real parts, then the imaginary parts, of e^(i t rate_j) for row t.
void rope_table_reference(const struct op *op) {
    const int N = op->d.N, D = op->d.D;
    for (int n = 0; n < N; n++) {
        for (int j = 0; j < D / 2; j++) {
            const double rate = slowed(op, exp(-2.0 * j / D * log(op->theta)));
            const double complex turn = cexp(I * (op->sign * (op->pos + n) * rate));
            op->out[0][n * D + j] = creal(turn);
            op->out[0][n * D + D / 2 + j] = cimag(turn);
        }
    }
}

// qkv (N, E), table (T, D) -> y (N, E)
void rope_reference(const struct op *op) {
    const int N = op->d.N, T = op->d.T, D = op->d.D, E = op->d.E;
    const int turned = (op->d.H + op->d.KV) * D;
    for (int n = 0; n < N; n++) {
        const double *x = op->in[0] + n * E, *turn = op->in[1] + n % T * D;
        double *y = op->out[0] + n * E;
        for (int c = 0; c < E; c++) {
            y[c] = x[c];
        }
        for (int c = 0; c < turned; c++) {
            const int j = c % D;
            if (j < D / 2) {
                const double complex z =
                    (x[c] + I * x[c + D / 2]) * (turn[j] + I * turn[j + D / 2]);
                y[c] = creal(z);
                y[c + D / 2] = cimag(z);
            }
        }
    }
}
