//// optimizer.c: the update of a piece of one tensor, as torch.optim computes it, in float. Floor:
//// parameters and moments read and written, gradients read: 28 bytes a parameter (SGD: 12).
//$ function update(k)
//$ local adam = k.optimizer ~= "sgd"
//$ if adam then
// One vector of parameters p, gradients g, and moments: m of the gradients, v of their squares.
VEC_INLINE void $(k.name.."_vec")(const struct update *u, bool decay, vec *p, vec g, vec *m,
                                  vec *v) {
    g *= u->scale;
    //$ if k.optimizer == "adamw" then
    *p *= decay ? u->keep_decayed : 1.0f;
    //$ else
    g += (decay ? u->l2_decayed : 0.0f) * *p;
    //$ end
    *m += u->mean_weight * (g - *m);
    *v = u->square_keep * *v + u->square_weight * g * g;
    const vec root = vec_fma(vec_sqrt(*v), vec_splat(u->inverse_root), vec_splat(u->eps));
    *p -= u->step * (*m / root);
}

// `count` neighbours of one tensor; the runtime calls it for each piece of the parameters in a
// step.
static void $(k.name)(const struct update *u, bool decay, float *params, const float *grads,
                      float *means, float *squares, int64_t count) {
    int64_t i = 0;
    for (; i + VEC <= count; i += VEC) {
        vec p = vec_load(params + i), m = vec_load(means + i), v = vec_load(squares + i);
        $(k.name.."_vec")(u, decay, &p, vec_load(grads + i), &m, &v);
        vec_store(params + i, p);
        vec_store(means + i, m);
        vec_store(squares + i, v);
    }
    if (i < count) {
        const int n = (int)(count - i);
        vec p = vec_load_n(params + i, n), m = vec_load_n(means + i, n),
            v = vec_load_n(squares + i, n);
        $(k.name.."_vec")(u, decay, &p, vec_load_n(grads + i, n), &m, &v);
        vec_store_n(params + i, p, n);
        vec_store_n(means + i, m, n);
        vec_store_n(squares + i, v, n);
    }
}
//$ else
// `count` neighbours of one tensor; the runtime calls it for each piece of the parameters in a
// step.
static void $(k.name)(const struct update *u, bool decay, float *params, const float *grads,
                      float *means, float *squares, int64_t count) {
    const float l2 = decay ? u->l2_decayed : 0.0f;
    (void)means, (void)squares; // SGD has none
    for (int64_t i = 0; i < count; i++) {
        params[i] -= u->rate * (grads[i] * u->scale + l2 * params[i]);
    }
}
//$ end
//$ end
