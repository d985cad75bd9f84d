import numpy as np

from diffusionrig.reactions.features.logmel import BANDS, FLOOR, filter_bank, hertz, log_mel, mel


def test_the_mel_scale_has_its_published_values_and_an_inverse():
    np.testing.assert_allclose(mel(np.array([0.0, 700.0, 1000.0])), [0.0, 2595 * np.log10(2.0), 999.9855], rtol=1e-6)
    np.testing.assert_allclose(hertz(mel(np.linspace(0, 8000, 9))), np.linspace(0, 8000, 9), atol=1e-9)


def test_filters_peak_at_one_and_overlap_to_a_constant():
    bank = filter_bank(44100, 1764)
    assert bank.shape == (BANDS, 883)
    assert 0.8 < bank.max(1).min() <= bank.max() <= 1
    bins = np.fft.rfftfreq(1764, 1 / 44100)
    centres = hertz(np.linspace(0, mel(8000.0), BANDS + 2))[1:-1]
    inner = (bins > centres[0]) & (bins < centres[-1])
    np.testing.assert_allclose(bank[:, inner].sum(0), 1, atol=1e-9)


def test_a_row_sees_the_samples_of_its_frame_alone():
    rate, frames = 44100, 10
    samples = np.zeros(rate * frames // 25)
    whole = log_mel(samples, rate)
    assert whole.shape == (frames, BANDS)
    np.testing.assert_allclose(whole, np.log(FLOOR), rtol=1e-6)
    time = np.arange(1764) / rate
    samples[4 * 1764:5 * 1764] = np.sin(2 * np.pi * 1000 * time)
    heard = log_mel(samples, rate)
    assert [int(row) for row in np.flatnonzero((heard > np.log(FLOOR) + 1).any(1))] == [4]
    centres = hertz(np.linspace(0, mel(8000.0), BANDS + 2))[1:-1]
    assert int(heard[4].argmax()) == int(np.abs(centres - 1000).argmin())


def test_recordings_at_another_rate_give_the_same_features():
    def tone(rate):
        return 0.3 * np.sin(2 * np.pi * 440 * np.arange(rate * 4 // 25) / rate)

    low, high = log_mel(tone(16000), 16000), log_mel(tone(44100), 44100)
    assert low.shape == high.shape == (4, BANDS)
    loudest = high[1] > high[1].max() - 3
    # Energies are per sample squared: white noise keeps its level, a tone gains with the number of samples in a frame.
    np.testing.assert_allclose((high - low)[:, loudest], np.log(44100 / 16000), atol=0.15)
